"""YAML as a person would write it: short mappings and lists on one line, nothing by reference."""

from __future__ import annotations

from typing import Any

import yaml

from evomerge.documents import Tree


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def yaml_text(tree: Tree) -> str:
    """Plain data as YAML, its keys in their order."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)

"""Complaints of Hydra's about what was written on the command line, in our words."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from evomerge.config.rooms import GROUPS
from evomerge.documents import suggestion
from evomerge.errors import ConfigError

_UNNAMED = re.compile(r"You must specify '(?P<group>[^']+)'")
_UNKNOWN = re.compile(r"Could not (?:override|delete from config\.) '(?P<key>[^']+)'")
_THERE = re.compile(r"Could not append to config\. An item is already at '(?P<key>[^']+)'")
_SEVERAL = re.compile(r"(?:Ambiguous value for argument|Sweep parameters) '(?P<word>[^']+)'")
_FORM = "Write KEY=VALUE, and quote what the shell would change: 'fitness.items={search: 48}'."


def in_our_words(complaint: HydraException | OmegaConfBaseException, keys: Collection[str]) -> ConfigError:
    """What Hydra or OmegaConf refuses, with the key, what is allowed and what to do.

    Args:
        complaint: As it was raised.
        keys: Those that may stand on the command line; what a key of two or more parts may go on with, the documents
            know.
    """
    text = str(complaint)
    if isinstance(complaint, MissingConfigException) and complaint.missing_cfg_file:
        return _missing(complaint.missing_cfg_file, complaint.options or ())
    if isinstance(complaint, OverrideParseException):
        reason = complaint.message.splitlines()[0] if "=" in complaint.override else "it has no value"
        return ConfigError.at(complaint.override, f"cannot be read: {reason}. {_FORM}")
    if found := _UNNAMED.match(text):
        group = found["group"]
        how = f"Say {group}=NAME; `evomerge ls {GROUPS.get(group, group)}` lists what there is."
        return ConfigError.at(group, f"none is named. {how}")
    if found := _UNKNOWN.match(text):
        return ConfigError.at(found["key"], f"is not a known key. {suggestion(found['key'], keys)}")
    if found := _THERE.match(text):
        return ConfigError.at(
            f"+{found['key']}", f"the key has a value already. Say {found['key']}=… without the plus."
        )
    if found := _SEVERAL.match(text):
        what = "several values are a sweep, with a run for each: add -m. A list is written in brackets: KEY=[1,2]."
        return ConfigError.at(found["word"], what)
    if isinstance(complaint, OmegaConfBaseException):
        what = f"{text.splitlines()[0]}. In ${{…}} stands the name of another setting."
        return ConfigError.at(str(complaint.full_key or "settings"), what)
    cause = complaint.__cause__ or complaint.__context__
    reason = f" {str(cause).splitlines()[0]}." if isinstance(cause, OmegaConfBaseException) else ""
    return ConfigError.at("", f"{text or 'The settings cannot be composed.'}{reason}")


def _missing(file: str, options: Collection[str]) -> ConfigError:
    """A name of no file, on the command line or in an experiment."""
    group, _, name = file.partition("/") if file.partition("/")[0] in GROUPS else file.rpartition("/")
    kind, word = group.replace("_", " "), f"{group}={name}"
    if name.endswith(".yaml") or "/" in name:
        how = f"Say the name of a file in {GROUPS.get(group, group)}/, without the folder and without .yaml."
        return ConfigError.at(word, f"is no name. {how} {suggestion(Path(name).stem, options)}")
    allowed = suggestion(name, options) if options else "There is none."
    return ConfigError.at(word, f'there is no {kind} "{name}". {allowed}')

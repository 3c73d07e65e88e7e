"""The house rules for source that a program can check; CONTRIBUTING.md gives the reasons."""

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "evomerge"
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}

RULES = {  # what a fully qualified name must not match, and where it may
    "runs code that comes as data": (r"(pickle|dill|cloudpickle|shelve|marshal|joblib)(\..+)?", ()),
    "unpickles": (r"torch\.load|pandas\.read_pickle|numpy\.lib\.format\.read_array", ()),
    "evaluates text": (r"eval|exec|compile|__import__|yaml\.(load|unsafe_load|full_load)", ()),
    "calls what a config names": (r"hydra\.utils\.(instantiate|call|get_(class|method|object))", ()),
    "uses a global generator": (
        r"torch\.(cuda\.)?(manual_seed|manual_seed_all|seed)|random\.(?!(Random|getstate)$)\w+|transformers\.set_seed"
        r"|numpy\.random\.(?!(default_rng|Generator|SeedSequence|BitGenerator|PCG64|Philox|RandomState|get_state)\b)\w+",
        ("seeds.py", "fitness/isolation.py"),  # lend the generators to libraries and put them back
    ),
    "prints": (r"print", ("cli/",)),
}
DRAWS = r"torch\.(rand|randn|randint|randperm|bernoulli|normal|multinomial)(_like)?"


def faults(source: str, module: str) -> Iterator[str]:
    """What a module does that it must not."""
    tree = ast.parse(source)
    imported = dict(_imports(tree))
    for node in ast.walk(tree):
        for name in _names(node, imported):
            for rule, (pattern, allowed) in RULES.items():
                if re.fullmatch(pattern, name) and not module.startswith(allowed or "//"):
                    yield f"{module}:{node.lineno}: {name} {rule}"
        if isinstance(node, ast.Call) and _draws_alone(node, imported):
            yield f"{module}:{node.lineno}: {ast.unparse(node.func)} draws without a generator"
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type) and not module.startswith("execution/"):
            yield f"{module}:{node.lineno}: catches everything"
    for number, line in enumerate(source.splitlines(), start=1):
        if match := re.search(r"_target_|\b(TODO|FIXME|XXX|NotImplementedError)\b", line):
            yield f"{module}:{number}: {match.group()}"


def _imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.split(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom):
            yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)


def _names(node: ast.AST, imported: dict[str, str]) -> tuple[str, ...]:
    if isinstance(node, ast.Import):
        return tuple(alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return (node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names))
    return (_qualified(node, imported),)


def _qualified(node: ast.AST, imported: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return imported.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{_qualified(node.value, imported) or '?'}.{node.attr}"
    return ""


def _draws_alone(call: ast.Call, imported: dict[str, str]) -> bool:
    given = {keyword.arg for keyword in call.keywords}
    return "generator" not in given and re.fullmatch(DRAWS, _qualified(call.func, imported)) is not None


def _is_broad(caught: ast.expr | None) -> bool:
    kinds = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(kind is None or ast.unparse(kind) in ("Exception", "BaseException") for kind in kinds)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_keeps_the_rules(module: str) -> None:
    assert list(faults(MODULES[module].read_text(encoding="utf-8"), module)) == []


@pytest.mark.parametrize("module", MODULES)
def test_a_module_begins_with_one_sentence(module: str) -> None:
    docstring = ast.get_docstring(ast.parse(MODULES[module].read_text(encoding="utf-8")))
    assert docstring, "says nothing about what it is for"
    assert re.fullmatch(r"\S.*\.", docstring.splitlines()[0]), "the first line is not a whole sentence"


def test_files_are_short() -> None:
    lines = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in MODULES.items()}
    assert {module: number for module, number in lines.items() if number > 400} == {}
    assert statistics.median(number for number in lines.values() if number > 1) <= 150


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from dill import loads",
        "import torch\ntorch.load('x')",
        "from torch import load as read\nread('x')",
        "eval('1')",
        "import yaml\nyaml.load('x')",
        "from hydra.utils import instantiate",
        "import torch\ntorch.manual_seed(0)",
        "import torch\ntorch.rand(3)",
        "import numpy as np\nnp.random.seed(0)",
        "from numpy import random\nrandom.rand(3)",
        "import random\nrandom.shuffle([])",
        "print('x')",
        "try:\n    pass\nexcept Exception:\n    pass",
        "try:\n    pass\nexcept (ValueError, BaseException):\n    pass",
        "try:\n    pass\nexcept:\n    pass",
        "x = {'_target_': 'os.system'}",
        "raise NotImplementedError",
    ],
)
def test_the_rules_see(source: str) -> None:
    assert list(faults(source, "room/module.py"))


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("print('x')", "cli/main.py"),
        ("try:\n    pass\nexcept Exception:\n    pass", "execution/worker.py"),
        ("try:\n    pass\nexcept ValueError:\n    pass", "room/module.py"),
        ("model.eval()", "room/module.py"),
        ("import re\nre.compile('x')", "room/module.py"),
        ("import yaml\nyaml.safe_load('x')", "room/module.py"),
        ("import numpy as np\nnp.random.default_rng(0)", "room/module.py"),
        ("import torch\ntorch.rand(3, generator=torch.Generator())", "room/module.py"),
        ("import random\nrandom.Random(0)", "room/module.py"),
    ],
)
def test_the_rules_allow(source: str, module: str) -> None:
    assert list(faults(source, module)) == []

"""Files that people write: values in, clear messages out."""

from pathlib import Path
from typing import Annotated, Literal

import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evomerge.documents import (
    Tree,
    Value,
    dump_yaml,
    fault,
    faults_at,
    key,
    parse,
    read_yaml,
    shown,
    suggestion,
    tree_of,
)
from evomerge.errors import ConfigError


def _short(text: str) -> str:
    if len(text) > 5:
        raise fault(f'"{text}" is longer than five letters.')
    return text


class Part(Value):
    name: Annotated[str, pydantic.AfterValidator(_short)]
    size: float = 1.0
    count: int | None = None


class Whole(Value):
    kind: Literal["round", "square"]
    parts: tuple[Part, ...] = pydantic.Field(min_length=1)
    source: str | None = pydantic.Field(default=None, alias="from")


GOOD = {"kind": "round", "parts": [{"name": "a"}]}


def problems(tree: Tree) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(Whole, tree, "whole.yaml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kid": "round"}, 'whole.yaml: "kid" is not a known key. Did you mean "kind"?'),
        ({"zzz": 1}, 'whole.yaml: "zzz" is not a known key. Allowed: from, kind, parts.'),
        ({"source": "x"}, 'whole.yaml: "source" is not a known key. Allowed: from, kind, parts.'),
        ({"kind": "roundd"}, 'whole.yaml: kind: "roundd" is not allowed. Did you mean "round"?'),
        ({"kind": 3}, 'whole.yaml: kind: "3" is not allowed. Allowed: round, square.'),
        ({"parts": "a"}, "whole.yaml: parts: a is not a list."),
        ({"parts": []}, "whole.yaml: parts: 0 entries are too few. Give 1 or more."),
        ({"parts": [3]}, "whole.yaml: parts[0]: 3 is not a mapping."),
        ({"parts": [{"size": 2}]}, 'whole.yaml: parts[0]: "name" is missing. Add it.'),
        ({"parts": [{"name": 5}]}, "whole.yaml: parts[0].name: 5 is not text; quote it if it is meant as text."),
        ({"parts": [{"name": "abcdef"}]}, 'whole.yaml: parts[0].name: "abcdef" is longer than five letters.'),
        ({"parts": [{"name": "a", "size": "x"}]}, "whole.yaml: parts[0].size: x is not a number."),
        ({"parts": [{"name": "a", "size": [1]}]}, "whole.yaml: parts[0].size: [1] is not a number."),
        ({"parts": [{"name": "a", "size": float("inf")}]}, "whole.yaml: parts[0].size: .inf is not a finite number."),
        ({"parts": [{"name": "a", "count": 1.5}]}, "whole.yaml: parts[0].count: 1.5 is not a whole number."),
        ({"parts": [{"name": "a", "count": "x"}]}, "whole.yaml: parts[0].count: x is not a whole number."),
        (
            {"parts": [{"name": "a", "nmae": 1}]},
            'whole.yaml: parts[0]: "nmae" is not a known key. Did you mean "name"?',
        ),
    ],
)
def test_a_fault_is_one_clear_line(change: dict[str, Tree], message: str) -> None:
    assert problems(GOOD | change) == [message]


def test_all_faults_are_told_at_once() -> None:
    assert problems({"kin": 1, "parts": [{"name": "a"}, {"name": "abcdef", "size": "x"}]}) == [
        'whole.yaml: "kin" is not a known key. Did you mean "kind"?',
        'whole.yaml: "kind" is missing. Add it.',
        'whole.yaml: parts[1].name: "abcdef" is longer than five letters.',
        "whole.yaml: parts[1].size: x is not a number.",
    ]


def test_what_is_no_mapping_is_refused_as_a_whole() -> None:
    assert problems(["round"]) == ["whole.yaml: [round] is not a mapping."]
    assert problems(None) == ["whole.yaml: null is not a mapping."]


def test_numbers_out_of_range() -> None:
    class Bounded(Value):
        count: int = pydantic.Field(ge=1)
        share: float = pydantic.Field(gt=0, le=1)
        most: float = pydantic.Field(gt=0, lt=0.5)

    with pytest.raises(ConfigError) as caught:
        parse(Bounded, {"count": 0, "share": 1.5, "most": 0.5}, "b.yaml")
    assert [str(problem) for problem in caught.value.problems] == [
        "b.yaml: count: 0 is below 1. Give 1 or more.",
        "b.yaml: share: 1.5 is above 1. Give 1 or less.",
        "b.yaml: most: 0.5 is not below 0.5. Give less than 0.5.",
    ]
    with pytest.raises(ConfigError, match=r"share: 0 is not above 0\. Give more than 0\."):
        parse(Bounded, {"count": 1, "share": 0, "most": 0.1}, "b.yaml")


def test_pydantics_own_words_serve_where_we_have_none() -> None:
    class Bounded(Value):
        name: str = pydantic.Field(pattern="^a")
        odd: Annotated[int, pydantic.AfterValidator(_refuse)] = 1

    with pytest.raises(ConfigError) as caught:
        parse(Bounded, {"name": "b", "odd": 2}, "b.yaml")
    assert [str(problem) for problem in caught.value.problems] == [
        "b.yaml: name: b: String should match pattern '^a'.",
        "b.yaml: odd: 2: even.",
    ]


def _refuse(number: int) -> int:
    raise ValueError("even")


def test_faults_of_a_part_can_be_told_of_the_whole() -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        Part.model_validate({"name": "abcdef", "size": "x"})
    found = faults_at(("parts", 3), caught.value)
    assert [details["loc"] for details in found] == [("parts", 3, "name"), ("parts", 3, "size")]


def test_a_value_is_read_back_from_its_tree() -> None:
    value = parse(Whole, GOOD | {"from": "there"}, "whole.yaml")
    assert tree_of(value) == {"kind": "round", "parts": [{"name": "a", "size": 1.0}], "from": "there"}
    assert parse(Whole, tree_of(value), "whole.yaml") == value
    assert parse(Whole, value, "whole.yaml") == value


def test_a_value_cannot_be_changed() -> None:
    with pytest.raises(pydantic.ValidationError):
        parse(Whole, GOOD, "whole.yaml").kind = "square"  # type: ignore[misc]


@given(st.lists(st.one_of(st.integers(0, 9), st.text("ab", min_size=1)), max_size=5))
def test_a_place_is_spelt_as_a_person_would(path: list[str | int]) -> None:
    text = key(path)
    assert text.count("[") == sum(isinstance(step, int) for step in path)
    assert not text.startswith(".")


def test_a_place_in_a_file() -> None:
    assert key(("blends", "mix", "pipe", 0, "density", 1)) == "blends.mix.pipe[0].density[1]"
    assert key(()) == ""


def test_suggestions() -> None:
    assert suggestion("teis", ["ties", "slerp"]) == 'Did you mean "ties"?'
    assert suggestion("xyz", ["ties", "slerp"]) == "Allowed: slerp, ties."


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.4, "1.4"),
        ([1, "a"], "[1, a]"),
        ({"gate": "top", "density": 0.3}, "{density: 0.3, gate: top}"),
        ("数", "数"),
        (None, "null"),
        (float("nan"), ".nan"),
        ("x" * 200, "x" * 77 + "..."),
        (1 + 2j, "(1+2j)"),
    ],
)
def test_a_value_is_shown_on_one_short_line(value: object, text: str) -> None:
    assert shown(value) == text


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(TREES)
def test_anything_can_be_shown(tree: Tree) -> None:
    assert len(shown(tree)) <= 80


def written(folder: Path, text: str) -> Path:
    path = folder / "x.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@example(tree={"0E0": "1e5"})
@example(tree={"\x85": "a\u2028b"})
@given(tree=TREES)
def test_yaml_is_read_as_plain_data(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = written(tmp_path_factory.getbasetemp(), dump_yaml(tree))
    assert read_yaml(path) == tree


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no such file\. Check the path\.$"):
        read_yaml(tmp_path / "none.yaml")


def test_an_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: .*Is a directory"):
        read_yaml(tmp_path)
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError, match="cannot be read: 'utf-8' codec"):
        read_yaml(tmp_path / "x.yaml")


def test_what_is_not_yaml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not YAML: while parsing") as caught:
        read_yaml(written(tmp_path, "a: [1,\nb: }"))
    assert "\n" not in str(caught.value)


def test_tags_that_would_make_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="could not determine a constructor"):
        read_yaml(written(tmp_path, "a: !!python/object/apply:os.system [ls]"))


def test_a_key_that_stands_twice_is_told_and_not_overwritten(tmp_path: Path) -> None:
    path = written(tmp_path, "models: {a: 1, b: 2, a: 3}\nblends:\n  - x: 1\n    x: 2\n  - x: 3\n")
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    assert [str(problem) for problem in caught.value.problems] == [
        f'{path}: line 1: "a" stands twice in one mapping. Keep one of them.',
        f'{path}: line 4: "x" stands twice in one mapping. Keep one of them.',
    ]


def test_aliases_are_no_repetition(tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, "a: &x {k: 1}\nb: *x\nc: [*x, *x]")) == {
        "a": {"k": 1},
        "b": {"k": 1},
        "c": [{"k": 1}, {"k": 1}],
    }


def test_numbers_with_exponents_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: 1e-3\nb: [-2.5E+4, .5e1]\nc: 1e\nd: 7\n")
    assert read_yaml(tmp_path / "a.yaml") == {"a": 0.001, "b": [-25000.0, 5.0], "c": "1e", "d": 7}

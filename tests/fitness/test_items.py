import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evomerge.errors import ConfigError, EvomergeError
from evomerge.fitness.items import SPLITS, ItemSplits, split_items
from evomerge.fitness.spec import Caps, Shares

Docs = list[dict[str, Any]]
ENOUGH = [{"key": f"filler {i}", "text": "filler"} for i in range(30)]  # some in every split
docs_of = st.lists(
    st.fixed_dictionaries({"key": st.sampled_from("abcdefgh"), "text": st.text("xyz", max_size=3)}), max_size=15
)
shares_of = st.sampled_from([Shares(), Shares(by=("key",)), Shares(search=0.3, selection=0.3, test=0.2, by=("key",))])


def split(shares: Shares, caps: Caps = Caps(), **documents: Docs) -> ItemSplits:  # noqa: B008  # a frozen value
    return split_items(documents, dict.fromkeys(documents, "print"), shares, caps, "f.yaml")


def contents(splits: ItemSplits, label: str, docs: Docs) -> dict[str, set[tuple[str, str]]]:
    return {name: {(docs[i]["key"], docs[i]["text"]) for i in getattr(splits, name)[label]} for name in SPLITS}


@settings(max_examples=40)
@given(docs_of, shares_of)
def test_splits_never_overlap_and_are_sorted(docs: Docs, shares: Shares) -> None:
    splits = split(shares, t=ENOUGH + docs)
    seen = [i for name in SPLITS for i in getattr(splits, name)["t"]]
    assert len(seen) == len(set(seen)) == len(splits.digests["t"])
    assert all(list(getattr(splits, name)["t"]) == sorted(getattr(splits, name)["t"]) for name in SPLITS)
    subjects = {
        name: {key if shares.by else (key, text) for key, text in found}
        for name, found in contents(splits, "t", ENOUGH + docs).items()
    }
    assert not subjects["search"] & subjects["selection"]
    assert not (subjects["search"] | subjects["selection"]) & subjects["test"]


@settings(max_examples=40)
@given(st.permutations([*ENOUGH, {"key": "a", "text": "x"}, {"key": "a", "text": "y"}]), shares_of)
def test_order_does_not_matter(shuffled: Docs, shares: Shares) -> None:
    plain = sorted(shuffled, key=lambda doc: (doc["key"], doc["text"]))
    assert contents(split(shares, t=shuffled), "t", shuffled) == contents(split(shares, t=plain), "t", plain)


@settings(max_examples=40)
@given(docs_of, docs_of, shares_of)
def test_more_documents_and_other_tasks_move_nothing(docs: Docs, more: Docs, shares: Shares) -> None:
    few = contents(split(shares, t=ENOUGH + docs), "t", ENOUGH + docs)
    many = contents(split(shares, u=ENOUGH, t=ENOUGH + docs + more), "t", ENOUGH + docs + more)
    assert all(few[name] <= many[name] for name in SPLITS)


@settings(max_examples=40)
@given(docs_of, docs_of, shares_of)
def test_what_two_tasks_share_falls_into_one_split(first: Docs, second: Docs, shares: Shares) -> None:
    splits = split(shares, one=ENOUGH + first, two=ENOUGH + second)
    where: dict[object, str] = {}
    for label, docs in (("one", ENOUGH + first), ("two", ENOUGH + second)):
        for name, found in contents(splits, label, docs).items():
            for key, text in found:
                assert where.setdefault(key if shares.by else (key, text), name) == name


@settings(max_examples=40)
@given(docs_of)
def test_a_repeated_document_counts_once(docs: Docs) -> None:
    twice = split(Shares(), t=ENOUGH + docs + docs)
    assert twice == split(Shares(), t=ENOUGH + docs)
    assert len(set(twice.digests["t"].values())) == len(twice.digests["t"])


@settings(max_examples=40)
@given(st.integers(1, 6), st.integers(0, 6))
def test_a_larger_cap_adds_items(cap: int, more: int) -> None:
    few, many, all_ = (split(Shares(), Caps(search=number), t=ENOUGH) for number in (cap, cap + more, None))
    assert len(few.search["t"]) == cap
    assert set(few.search["t"]) <= set(many.search["t"]) <= set(all_.search["t"])
    assert few.test == all_.test


def test_shares_are_about_kept() -> None:
    docs = [{"key": str(i)} for i in range(4000)]
    splits = split(Shares(search=0.5, selection=0.1, test=0.3), t=docs)
    sizes = [len(getattr(splits, name)["t"]) / 4000 for name in SPLITS]
    assert sizes == pytest.approx([0.5, 0.1, 0.3], abs=0.03)


def test_a_digest_names_the_document_and_the_way_it_is_scored() -> None:
    documents = {"a": ENOUGH, "b": ENOUGH, "c": ENOUGH[::-1]}
    splits = split_items(documents, {"a": "one", "b": "two", "c": "one"}, Shares(), Caps(), "f.yaml")
    assert splits.search["a"] == splits.search["b"]
    item = splits.search["a"][0]
    assert splits.digests["a"][item] == splits.digests["c"][29 - item] != splits.digests["b"][item]
    assert all(len(digest) == 16 and int(digest, 16) >= 0 for digest in splits.digests["a"].values())


def test_dates_and_bytes_have_a_canonical_form_and_objects_have_none() -> None:
    plain = [{"at": datetime.date(2026, 1, 1 + i % 28), "raw": bytes([i])} for i in range(40)]
    assert split(Shares(), t=plain).digests == split(Shares(), t=[dict(doc) for doc in plain]).digests
    with pytest.raises(EvomergeError, match="a object, which has no canonical form"):
        split(Shares(), t=[{"image": object()}])


def test_a_missing_field_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        split(Shares(by=("key", "topic")), one=ENOUGH, two=[{"id": 1}])
    assert [str(problem) for problem in caught.value.problems] == [
        'f.yaml: splits.by[1]: a document of task "one" has no field "topic". It has key, text. '
        "Name a field that every task has, or leave `by` out.",
        'f.yaml: splits.by[0]: a document of task "two" has no field "key". It has id. '
        "Name a field that every task has, or leave `by` out.",
        'f.yaml: splits.by[1]: a document of task "two" has no field "topic". It has id. '
        "Name a field that every task has, or leave `by` out.",
    ]


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        split(Shares(by=("text",)), full=[{"text": str(i)} for i in range(60)], poor=ENOUGH)
    (first, second) = (str(problem) for problem in caught.value.problems)
    assert first.startswith("f.yaml: tasks.poor: none of its 30 documents falls into the ")
    assert "Raise splits." in first
    assert second != first

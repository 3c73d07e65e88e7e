"""Laws of the archive: who enters, who leaves, and who never fills it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evomerge.optimizers.m2n2.archive import Archive
from evomerge.optimizers.m2n2.settings import CODE, PAPER, M2N2Settings

KEEP = M2N2Settings(members=4, duplicates="keep")
CHILDREN = hnp.arrays(np.float64, st.tuples(st.integers(1, 30), st.just(5)), elements=st.sampled_from([0, 0.5, 1.0]))


def filled(settings, rows):
    archive = Archive(settings)
    for number, row in enumerate(rows):
        archive.insert(f"member {number}", row)
    return archive


@given(CHILDREN, st.sampled_from(["member", "child"]))
def test_the_worst_of_members_and_child_leaves(children, leaves):
    archive = Archive(M2N2Settings(members=4, leaves=leaves))
    for number, child in enumerate(children):
        before = [*archive.scores.copy(), child]
        names = [*archive.members, number]
        slot = archive.insert(number, child)
        if number < 4:
            assert slot == number
            continue
        crowd = sum(before)
        worth = [sum(max(r[j] for r in before) * row[j] / (crowd[j] or 1) for j in range(5)) for row in before]
        left = set(names) - set(archive.members)
        assert len(left) == 1
        assert worth[names.index(left.pop())] == pytest.approx(min(worth))
        assert archive.members[slot] == number if slot is not None else number not in archive.members


def test_of_equals_the_first_member_leaves_or_the_child():
    rows = np.ones((4, 3))
    assert filled(KEEP, rows).insert("child", np.ones(3)) == 0
    assert filled(KEEP.model_copy(update={"leaves": "child"}), rows).insert("child", np.ones(3)) is None


def test_the_best_item_solver_may_leave_when_its_skills_are_common():
    archive = filled(KEEP, [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0]])
    assert archive.insert("specialist", [0, 0, 0, 1]) == 0
    assert archive.best == 1


@given(st.integers(5, 40))
def test_a_duplicate_never_fills_the_archive(times):
    archive = filled(M2N2Settings(members=4), np.eye(4))
    for _ in range(times):
        archive.insert("child", np.ones(4))
    assert archive.members.count("child") == 1
    kept = filled(KEEP, np.eye(4))
    for _ in range(times):
        kept.insert("child", np.ones(4))
    assert list(kept.members) == ["child"] * 4


def test_what_counts_as_a_duplicate_may_be_said():
    archive = Archive[float](M2N2Settings(), same=lambda a, b: abs(a - b) < 0.1)
    assert archive.insert(1.0, [1.0]) == 0
    assert archive.insert(1.05, [1.0]) is None
    assert archive.insert(1.2, [1.0]) == 1


@pytest.mark.parametrize("settings", [CODE, PAPER, M2N2Settings(alpha=0.0), M2N2Settings(floor="worst")])
@pytest.mark.parametrize("score", [0.0, 0.5, 1.0])
def test_members_that_are_all_alike_give_no_nan(settings, score):
    archive = Archive[int](settings)
    rng = np.random.default_rng(0)
    with np.errstate(all="raise"):
        for number in range(30):
            archive.insert(number, np.full(7, score))
            first, second = archive.parents(rng)
            assert {first, second} <= set(range(len(archive.members)))
    assert np.isfinite(archive.shared_fitness).all()
    assert len(archive.members) == 20


def test_scores_that_cannot_be_are_refused():
    archive = filled(KEEP, np.eye(4))
    with pytest.raises(ValueError, match="4 each"):
        archive.insert("short", [1.0])
    with pytest.raises(ValueError, match="finite"):
        archive.insert("failed", [1.0, np.nan, 0, 0])
    assert list(archive.members) == [f"member {number}" for number in range(4)]


def test_while_warming_up_only_the_seeds_are_parents():
    archive = filled(KEEP, np.eye(4))
    rng = np.random.default_rng(0)
    assert {archive.warm_up_parents(2, rng) for _ in range(50)} == {(0, 1), (1, 0)}

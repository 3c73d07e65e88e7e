"""The lattice: cells that cover the model, chromosome by chromosome."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.errors import ConfigError
from evomerge.recipe.spans import TensorSpan
from evomerge.recipe.where import Role, Where
from evomerge.spaces.lineage import lattice_of

ROLES: tuple[Role, ...] = ("attention", "mlp", "norm")
SPANS = [
    TensorSpan(f"t{index}", index // 3, ROLES[index % 3], start, start + size)
    for index, (start, size) in enumerate([(0, 10), (10, 7), (17, 2), (19, 10), (29, 7), (36, 2)])
]


@given(st.lists(st.sampled_from(ROLES), unique=True, max_size=3), st.integers(1, 12))
def test_cells_cover_every_entry_once(roles: list[Role], resolution: int) -> None:
    lattice = lattice_of(SPANS, [Where(roles=(role,)) for role in roles], resolution)
    entries = sorted(entry for cell in lattice.cells for entry in range(cell.start, cell.stop))
    assert entries == list(range(38))
    assert [part.start for part in lattice.chromosomes] == [0, *(part.stop for part in lattice.chromosomes[:-1])]
    assert len(lattice.chromosomes) == len(roles) + (len(roles) < 3)
    for span in SPANS:
        sizes = [cell.stop - cell.start for cell in lattice.cells if cell.tensor == span.name]
        assert len(sizes) == min(resolution, span.stop - span.start)
        assert max(sizes) - min(sizes) <= 1
    for part in lattice.chromosomes:
        places = [cell.start for cell in lattice.cells[part.start : part.stop]]
        assert places == sorted(places)


def test_a_split_point_is_the_nearest_to_a_share_of_the_entries() -> None:
    lattice = lattice_of(SPANS, [Where(layers=(1, 1))], 1)
    second, first = lattice.chromosomes
    assert [lattice.nearest(second, share) for share in (0, 0.2, 0.5, 0.8, 0.99, 1)] == [0, 0, 1, 2, 3, 3]
    assert lattice.nearest(first, 0.5) == 4


def test_a_chromosome_without_tensors_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"c\[1\]: no tensor is left"):
        lattice_of(SPANS, [Where(layers=(0, 1)), Where(roles=("mlp",))], 1, "c")

"""A lineage collapses: members are the tensors that merging their ancestors step by step gives."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evomerge.checkpoints import Checkpoint, digest_of, stretches_of
from evomerge.documents import parse
from evomerge.merging import Library, Merge
from evomerge.merging.grams import grams_of, kept_grams
from evomerge.recipe.recipe import ModelRef
from evomerge.spaces.genes import Genome
from evomerge.spaces.lineage import BreedFile, Cross, Lineage, LineageSpace, bind_breed, lattice_of

GROUPS: list[list[dict[str, Any]]] = [
    [],
    [{"roles": ["attention"]}],
    [{"layers": [0, 0], "roles": ["mlp", "attention"]}, {"names": ["*norm*", "lm_head.*"]}],
]


def space_of(zoo: Path, chromosomes: list[dict[str, Any]], origin: str | None, resolution: int = 3) -> LineageSpace:
    models = {name: ModelRef(path=str(zoo / name), digest=digest_of(Checkpoint(zoo / name))) for name in EXPERTS}
    tree: dict[str, Any] = {"experts": ["math", "ja", "str"], "chromosomes": chromosomes, "resolution": resolution}
    document = parse(BreedFile, {"evomerge": "space/1", "models": models, "breed": tree | {"origin": origin}}, "s.yaml")
    opened = {name: Checkpoint(zoo / name) for name in EXPERTS}
    breed = document.breed
    lattice = lattice_of(stretches_of(opened["base"]), breed.chromosomes, breed.resolution)
    cells = [(cell.tensor, (cell.start, cell.stop)) for cell in lattice.cells]
    experts = [opened[name] for name in breed.experts]
    gram_LKK = grams_of(experts, opened[origin] if origin else None, cells)
    return bind_breed(document, models, Lineage(breed.experts, lattice, gram_LKK, origin is not None), "s.yaml")


EXPERTS = ("base", "math", "ja", "str")


def flat(zoo: Path, name: str) -> torch.Tensor:
    checkpoint = Checkpoint(zoo / name)
    return torch.cat([checkpoint.tensor(stretch.name).flatten() for stretch in stretches_of(checkpoint)]).double()


def slerp(a: torch.Tensor, b: torch.Tensor, t: torch.Tensor, of: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """As the paper and its code write it, with the angle of the vectors `of`."""
    angle = torch.arccos((of[0] / of[0].norm() @ (of[1] / of[1].norm())).clamp(-1, 1))
    if angle.sin() <= 1e-6:
        return (1 - t) * a + t * b
    return torch.sin((1 - t) * angle) / angle.sin() * a + torch.sin(t * angle) / angle.sin() * b


def stepwise(
    space: LineageSpace, a: torch.Tensor, b: torch.Tensor, crosses: list[Cross], arc: str, angle: str
) -> torch.Tensor:
    """One merge of two whole vectors, chromosome by chromosome, by indices of their entries."""
    lattice, child = space.lineage.lattice, torch.full_like(a, torch.nan)
    for chromosome, cross in zip(lattice.chromosomes, crosses, strict=True):
        cells = lattice.cells[chromosome.start : chromosome.stop]
        places = torch.cat([torch.arange(cell.start, cell.stop) for cell in cells])
        split = sum(cell.stop - cell.start for cell in cells[: cross.split - chromosome.start])
        own_a, own_b = a[places], b[places]
        t = torch.full((len(places),), cross.t, dtype=torch.float64)
        t[split:] = 1 - cross.t
        if arc == "linear":
            child[places] = (1 - t) * own_a + t * own_b
        elif angle == "whole":
            child[places] = slerp(own_a, own_b, t, (own_a, own_b))
        else:
            for side in (slice(0, split), slice(split, None)):
                if len(places[side]):
                    child[places[side]] = slerp(own_a[side], own_b[side], t[side], (own_a[side], own_b[side]))
    return child


def crosses_of(lineage: Lineage, rng: np.random.Generator) -> list[Cross]:
    return [
        Cross(lineage.lattice.nearest(each, rng.random()), float(rng.random())) for each in lineage.lattice.chromosomes
    ]


@pytest.mark.parametrize(("chromosomes", "origin"), [*zip(GROUPS, (None, "base", None), strict=True)])
@pytest.mark.parametrize(("arc", "angle"), [("linear", "whole"), ("slerp", "whole"), ("slerp", "side")])
def test_a_genealogy_of_twenty_generations_collapses(
    zoo: Path, chromosomes: list[dict[str, Any]], arc: Any, angle: Any, origin: str | None
) -> None:
    space = space_of(zoo, chromosomes, origin)
    lineage, rng = space.lineage, np.random.default_rng(len(chromosomes))
    base = flat(zoo, origin) if origin else 0.0
    members: list[tuple[Genome, torch.Tensor]] = [
        (founder, flat(zoo, name) - base) for founder, name in zip(space.seeds, lineage.names, strict=True)
    ]
    for _ in range(20):
        (one, a), (other, b) = (members[int(place)] for place in rng.choice(len(members), 2, replace=False))
        crosses = crosses_of(lineage, rng)
        child = lineage.mix(one, other, crosses, arc, angle)
        assert lineage.contains(child)
        members = [*members, (child, stepwise(space, a, b, crosses, arc, angle))][
            -5:
        ]  # the young have the old for parents
    genome, vector = members[-1]
    merge = Merge(space.decode(genome), Library())
    found = torch.cat([merge.tensor(stretch.name).flatten() for stretch in stretches_of(merge.donor)])
    wanted = vector + base
    assert len(genome) > 4 * 10, "there is something to collapse"
    assert float((found.double() - wanted).abs().max()) < 1e-5 * float(wanted.abs().max())


def test_founders_are_the_models_themselves(zoo: Path) -> None:
    for origin in (None, "base"):
        space = space_of(zoo, [{"roles": ["attention"]}], origin)
        for genome, name in zip(space.seeds, space.lineage.names, strict=True):
            merge, own = Merge(space.decode(genome), Library()), Checkpoint(zoo / name)
            assert all(torch.equal(merge.rounded(tensor), own.tensor(tensor)) for tensor in own.names)


def test_equal_members_have_equal_digests_and_others_do_not(zoo: Path) -> None:
    space, rng = space_of(zoo, [{"roles": ["attention"]}], None), np.random.default_rng(0)
    lineage, members = space.lineage, list(space.seeds)
    for _ in range(15):
        one, other = (members[int(place)] for place in rng.choice(len(members), 2, replace=False))
        members.append(lineage.mix(one, other, crosses_of(lineage, rng), "linear", "whole"))
        assert lineage.genome(lineage.coefficients(members[-1])) == members[-1]
    assert len({space.decode(genome).digest for genome in members}) == len(set(members)) == len(members)
    recipe = space.decode(members[-1])
    assert [rule.where for rule in recipe.canonical.blends["member"].rules] == [
        rule.where for rule in recipe.blends["member"].rules
    ]


def test_grams_are_inner_products_and_are_measured_once(
    zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    models = [Checkpoint(zoo / name) for name in ("math", "ja")]
    cells = [(s.name, (s.start, s.stop)) for s in stretches_of(models[0])]
    first = kept_grams(models, None, cells, ["one", "two", None])
    vectors = [flat(zoo, name) for name in ("math", "ja")]
    for gram_KK, (_, (start, stop)) in zip(first, cells, strict=True):
        parts = torch.stack([vector[start:stop] for vector in vectors])
        np.testing.assert_allclose(gram_KK, (parts @ parts.T).numpy(), rtol=1e-9)
    (file,) = (tmp_path / "evomerge" / "grams").iterdir()
    np.save(file, first + 1)
    np.testing.assert_array_equal(kept_grams(models, None, cells, ["one", "two", None]), first + 1)
    file.write_bytes(b"damaged")
    np.testing.assert_array_equal(kept_grams(models, None, cells, ["one", "two", None]), first)

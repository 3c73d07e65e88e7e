"""CatCMA with margin, for any mix of real, whole and categorical genes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import cmaes
import numpy as np
from numpy.typing import NDArray

from evomerge import seeds
from evomerge.optimizers.base import Scored
from evomerge.optimizers.box import MARGIN, option_index
from evomerge.optimizers.configs import CatCmaConfig
from evomerge.optimizers.deb import single_loss
from evomerge.optimizers.start import Start
from evomerge.spaces.genes import ChoiceGene, FloatGene, Gene, Genome, IntGene, Scalar

SEED_PROBABILITY = 0.5
"""How much of a choice's first probability lies on the first seed's option; the rest is spread evenly."""

Part: TypeAlias = NDArray[Any] | None
"""A sample's values of one kind of gene; the library says None where there are no such genes."""

G = TypeVar("G")


class CatCma:
    """`cmaes.CatCMAwM`: any genes, one objective.

    A joint distribution of a Gaussian for real and whole numbers and of one categorical per choice, with margins that
    keep discrete genes from settling too early (Hamano et al. 2025, "CatCMA with margin", arXiv 2504.07884).
    """

    def __init__(self, config: CatCmaConfig, start: Start) -> None:
        self._layout = _Layout(start.genes)
        first = self._layout.by_name(start.seeds[0]) if start.seeds else None
        self._cma = cmaes.CatCMAwM(
            x_space=[[0.0, 1.0]] * len(self._layout.reals) or None,
            z_space=[list(range(gene.low, gene.high + 1)) for gene in self._layout.wholes] or None,
            c_space=[len(gene.options) for gene in self._layout.choices] or None,
            population_size=config.population,
            mean=self._layout.first_mean(first),
            sigma=config.sigma0,
            cov=np.diag(self._layout.ranges() ** 2),
            cat_param=self._layout.first_probabilities(first),
            seed=seeds.integer(start.seed, "optimizers", "catcma"),
        )
        self._samples: list[Any] = []

    def propose(self) -> Sequence[Genome]:
        """See `Engine.propose`."""
        self._samples = [self._cma.ask() for _ in range(self._cma.population_size)]
        return [self._layout.genome(sample.x, sample.z, sample.c) for sample in self._samples]

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """See `Engine.learn`."""
        losses = [single_loss(one) for one in scored]
        with warnings.catch_warnings():
            # As long as every generation is tied, the library takes the median of no spreads for its box penalty.
            warnings.simplefilter("ignore", RuntimeWarning)
            self._cma.tell(list(zip(self._samples, losses, strict=True)))

    def favourite(self) -> Genome:
        """The mean of the Gaussian, whole numbers rounded, with the most probable option of every choice."""
        # The library shows its distribution nowhere, and has only the parts that the genes need.
        mean_M = getattr(self._cma, "_mean", np.zeros(0))
        reals = len(self._layout.reals)
        return self._layout.genome(mean_M[:reals], mean_M[reals:], getattr(self._cma, "_q", None))


class _Layout:
    """The genes as the library sorts them.

    Whole numbers of two values are choices, as its authors advise; it has no place for genes of one value.
    """

    def __init__(self, genes: Sequence[Gene]) -> None:
        self._names = [gene.name for gene in genes]
        self.reals = [gene for gene in genes if isinstance(gene, FloatGene)]
        self.wholes = [gene for gene in genes if isinstance(gene, IntGene) and gene.high - gene.low > 1]
        options: dict[str, tuple[Scalar, ...]] = {
            gene.name: gene.options if isinstance(gene, ChoiceGene) else tuple(range(gene.low, gene.high + 1))
            for gene in genes
            if not isinstance(gene, FloatGene) and gene not in self.wholes
        }
        self.choices = [ChoiceGene(name, values) for name, values in options.items() if len(values) > 1]
        self._fixed = {name: values[0] for name, values in options.items() if len(values) == 1}

    def by_name(self, genome: Genome) -> Mapping[str, Scalar]:
        return dict(zip(self._names, genome, strict=True))

    def genome(self, real_R: Part, whole_W: Part, weights_CK: Part) -> Genome:
        """The genome of a sample; each choice takes its option of most weight."""
        values = dict(self._fixed)
        for real, x in _pairs(self.reals, real_R):
            values[real.name] = real.from_unit(float(x))
        for whole, z in _pairs(self.wholes, whole_W):
            values[whole.name] = min(max(round(float(z)), whole.low), whole.high)
        for choice, weights_K in _pairs(self.choices, weights_CK):
            values[choice.name] = choice.options[int(np.argmax(weights_K))]
        return tuple(values[name] for name in self._names)

    def ranges(self) -> NDArray[np.float64]:
        """Extent of every number, real ones first."""
        return np.array([1.0] * len(self.reals) + [float(gene.high - gene.low) for gene in self.wholes])

    def first_mean(self, first: Mapping[str, Scalar] | None) -> NDArray[np.float64]:
        """The numbers of the first seed, moved `MARGIN` inside the box, or the middle of the box."""
        low = np.array([0.0] * len(self.reals) + [float(gene.low) for gene in self.wholes])
        ranges = self.ranges()
        if first is None:
            return low + 0.5 * ranges
        reals = [gene.to_unit(float(first[gene.name])) for gene in self.reals]
        wholes = [float(first[gene.name]) for gene in self.wholes]
        return np.asarray(np.clip(reals + wholes, low + MARGIN * ranges, low + (1 - MARGIN) * ranges))

    def first_probabilities(self, first: Mapping[str, Scalar] | None) -> NDArray[np.float64]:
        """A row per choice, even but for `SEED_PROBABILITY` on the first seed's option, padded with zeros."""
        width = max((len(gene.options) for gene in self.choices), default=0)
        probabilities_CK = np.zeros((len(self.choices), width))
        for row_K, gene in zip(probabilities_CK, self.choices, strict=True):
            row_K[: len(gene.options)] = 1 / len(gene.options)
            if first is not None:
                row_K *= 1 - SEED_PROBABILITY
                row_K[option_index(gene, first[gene.name])] += SEED_PROBABILITY
        return probabilities_CK


def _pairs(genes: Sequence[G], values: Part) -> Iterator[tuple[G, Any]]:
    return zip(genes, () if values is None else values, strict=True)

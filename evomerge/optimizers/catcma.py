"""CatCMA with margin, for any mix of real, whole and categorical genes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

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


class CatCma:
    """`cmaes.CatCMAwM`: any genes, one objective.

    A joint distribution of a Gaussian for real and whole numbers and of one categorical per choice, with margins that
    keep discrete genes from settling too early (Hamano et al. 2025, "CatCMA with margin", arXiv 2504.07884). Whole
    numbers of two values are treated as choices, as its authors advise; genes of one value stay out of it.
    """

    def __init__(self, config: CatCmaConfig, start: Start) -> None:
        self._names = [gene.name for gene in start.genes]
        self._reals = [gene for gene in start.genes if isinstance(gene, FloatGene)]
        self._wholes = [gene for gene in start.genes if isinstance(gene, IntGene) and gene.high - gene.low >= 2]
        listed = [_as_choice(gene) for gene in start.genes if gene not in self._reals + self._wholes]
        self._choices = [gene for gene in listed if len(gene.options) > 1]
        self._fixed = {gene.name: gene.options[0] for gene in listed if len(gene.options) == 1}
        first = dict(zip(self._names, start.seeds[0], strict=True)) if start.seeds else None
        numbers = len(self._reals) + len(self._wholes)
        self._cma = cmaes.CatCMAwM(
            x_space=[[0.0, 1.0]] * len(self._reals) or None,
            z_space=[list(range(gene.low, gene.high + 1)) for gene in self._wholes] or None,
            c_space=[len(gene.options) for gene in self._choices] or None,
            population_size=config.population,
            mean=self._first_mean(first) if numbers else None,
            sigma=config.sigma0,
            cov=np.diag(self._ranges() ** 2) if numbers else None,
            cat_param=self._first_probabilities(first) if self._choices else None,
            seed=seeds.integer(start.seed, "optimizers", "catcma"),
        )
        self._samples: list[Any] = []

    def propose(self) -> Sequence[Genome]:
        """See `Engine.propose`."""
        self._samples = [self._cma.ask() for _ in range(self._cma.population_size)]
        return [self._genome(sample.x, sample.z, sample.c) for sample in self._samples]

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """See `Engine.learn`."""
        losses = [single_loss(one) for one in scored]
        with warnings.catch_warnings():
            # As long as every generation is tied, the library takes the median of no spreads for its box penalty.
            warnings.simplefilter("ignore", RuntimeWarning)
            self._cma.tell(list(zip(self._samples, losses, strict=True)))

    def favourite(self) -> Genome:
        """The mean of the Gaussian, whole numbers rounded, with the most probable option of every choice."""
        # The library has no public access to its distribution.
        mean_M = self._cma._mean if self._reals or self._wholes else np.zeros(0)
        options_CK = self._cma._q if self._choices else None
        return self._genome(mean_M[: len(self._reals)], mean_M[len(self._reals) :], options_CK)

    def _genome(
        self,
        real_R: NDArray[np.float64] | None,
        whole_W: NDArray[np.float64] | None,
        options_CK: NDArray[np.float64] | None,
    ) -> Genome:
        values: dict[str, Scalar] = dict(self._fixed)
        for real, x in zip(self._reals, () if real_R is None else real_R, strict=True):
            values[real.name] = real.from_unit(float(x))
        for whole, z in zip(self._wholes, () if whole_W is None else whole_W, strict=True):
            values[whole.name] = min(max(round(float(z)), whole.low), whole.high)
        for choice, weights_K in zip(self._choices, () if options_CK is None else options_CK, strict=True):
            values[choice.name] = choice.options[int(np.argmax(weights_K))]
        return tuple(values[name] for name in self._names)

    def _ranges(self) -> NDArray[np.float64]:
        return np.array([1.0] * len(self._reals) + [float(gene.high - gene.low) for gene in self._wholes])

    def _first_mean(self, first: Mapping[str, Scalar] | None) -> NDArray[np.float64]:
        low = np.array([0.0] * len(self._reals) + [float(gene.low) for gene in self._wholes])
        if first is None:
            return low + 0.5 * self._ranges()
        real = [gene.to_unit(float(first[gene.name])) for gene in self._reals]
        mean = np.array(real + [float(first[gene.name]) for gene in self._wholes])
        return np.clip(mean, low + MARGIN * self._ranges(), low + (1 - MARGIN) * self._ranges())

    def _first_probabilities(self, first: Mapping[str, Scalar] | None) -> NDArray[np.float64]:
        probabilities_CK = np.zeros((len(self._choices), max(len(gene.options) for gene in self._choices)))
        for row_K, gene in zip(probabilities_CK, self._choices, strict=True):
            row_K[: len(gene.options)] = 1 / len(gene.options)
            if first is not None:
                row_K *= 1 - SEED_PROBABILITY
                row_K[option_index(gene, first[gene.name])] += SEED_PROBABILITY
        return probabilities_CK


def _as_choice(gene: Gene) -> ChoiceGene:
    if isinstance(gene, IntGene):
        return ChoiceGene(gene.name, tuple(range(gene.low, gene.high + 1)))
    assert isinstance(gene, ChoiceGene)
    return gene

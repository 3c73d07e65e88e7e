"""Separable CMA-ES, for very many real genes."""

from __future__ import annotations

import cmaes

from evomerge.optimizers.cmaes_engine import CmaesEngine
from evomerge.optimizers.configs import SepCmaConfig
from evomerge.optimizers.start import Start


class SepCma(CmaesEngine):
    """`cmaes.SepCMA`.

    The covariance is diagonal, so time and memory grow with the number of genes rather than its square, and the
    learning rate of the covariance may be (genes + 2) / 3 times larger (Ros and Hansen 2008, "A simple modification in
    CMA-ES achieving linear time and space complexity", doi 10.1007/978-3-540-87700-4_30).
    """

    def __init__(self, config: SepCmaConfig, start: Start) -> None:
        super().__init__(config, start, cmaes.SepCMA)

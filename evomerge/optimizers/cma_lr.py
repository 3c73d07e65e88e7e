"""CMA-ES with learning-rate adaptation, for noisy losses of real genes."""

from __future__ import annotations

from functools import partial

import cmaes

from evomerge.optimizers.cmaes_engine import CmaesEngine
from evomerge.optimizers.configs import CmaLrConfig
from evomerge.optimizers.start import Start


class CmaLr(CmaesEngine):
    """`cmaes.CMA` with `lr_adapt`.

    The learning rates of mean and covariance follow the signal-to-noise ratio of their updates (Nomura, Akimoto and
    Ono 2023, "CMA-ES with learning rate adaptation", arXiv 2304.03473), so the population can stay small under noise.
    """

    def __init__(self, config: CmaLrConfig, start: Start) -> None:
        super().__init__(config, start, partial(cmaes.CMA, lr_adapt=True))

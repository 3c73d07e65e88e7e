"""An evolution strategy that averages over more candidates the noisier the losses are, over any genes."""

from __future__ import annotations

from evomerge.optimizers.configs import TbpsaConfig
from evomerge.optimizers.nevergrad_engine import NevergradEngine, ng
from evomerge.optimizers.start import Start
from evomerge.spaces.genes import Genome


class Tbpsa(NevergradEngine):
    """`nevergrad`'s test-based population-size adaptation.

    As long as the losses of late candidates are not significantly lower than those of early ones, more of them are
    averaged per step (Hellwig and Beyer 2016, "Evolution under strong noise: the pcCMSA-ES",
    doi 10.1007/978-3-319-45823-6_3).
    """

    def __init__(self, config: TbpsaConfig, start: Start) -> None:
        make = ng.optimizers.ParametrizedTBPSA(naive=False)
        super().__init__(config.name, start, config.population, make, start.budget)

    def favourite(self) -> Genome:
        """The centre of the distribution."""
        return self._box.decode(self._optimizer.recommend().value)

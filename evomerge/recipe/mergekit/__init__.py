"""mergekit's YAML as a second spelling of recipes: read what can be reproduced, write what can be expressed."""

from evomerge.recipe.mergekit.document import is_evolve, is_mergekit
from evomerge.recipe.mergekit.layout import Layout, Spot
from evomerge.recipe.mergekit.models import Locate
from evomerge.recipe.mergekit.read import Reading, read_mergekit
from evomerge.recipe.mergekit.write import write_mergekit

__all__ = ["Layout", "Locate", "Reading", "Spot", "is_evolve", "is_mergekit", "read_mergekit", "write_mergekit"]

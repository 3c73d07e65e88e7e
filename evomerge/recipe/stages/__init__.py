"""Stages: the steps of a merge operator, each a value in one of the ordered slots of the algebra."""

from evomerge.recipe.stages.base import CANCELLED, SLOTS, StageValue, cancel
from evomerge.recipe.stages.gates import BernoulliGate, DensityGate, NoGate, TopGate
from evomerge.recipe.stages.kinds import KINDS, Pipe, Stage, parse_stage, stage_tree
from evomerge.recipe.stages.origin import Origin
from evomerge.recipe.stages.posts import Scale
from evomerge.recipe.stages.reducers import Linear, Sphere
from evomerge.recipe.stages.restore import Restore
from evomerge.recipe.stages.votes import NoVote, SignVote
from evomerge.recipe.stages.weighers import Weigh

__all__ = [
    "CANCELLED",
    "KINDS",
    "SLOTS",
    "BernoulliGate",
    "DensityGate",
    "Linear",
    "NoGate",
    "NoVote",
    "Origin",
    "Pipe",
    "Restore",
    "Scale",
    "SignVote",
    "Sphere",
    "Stage",
    "StageValue",
    "TopGate",
    "Weigh",
    "cancel",
    "parse_stage",
    "stage_tree",
]

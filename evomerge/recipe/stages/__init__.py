"""Stages: the steps of a merge operator, each a value in one of the ordered slots of the algebra."""

from evomerge.recipe.stages.base import CANCELLED, SLOTS, StageValue, cancel
from evomerge.recipe.stages.gates import BernoulliGate, DensityGate, NoGate, TopGate
from evomerge.recipe.stages.gates_joint import ClipGate, FusionGate, VarianceGate
from evomerge.recipe.stages.gates_ranked import BandGate, BlockGate, RankBernoulliGate
from evomerge.recipe.stages.gates_values import ClampGate, SignGate
from evomerge.recipe.stages.kinds import KINDS, Pipe, Stage, parse_stage, stage_tree
from evomerge.recipe.stages.origin import Origin
from evomerge.recipe.stages.posts import Scale, Stock
from evomerge.recipe.stages.posts_depth import NormRamp, Ramp
from evomerge.recipe.stages.reducers import Largest, Linear
from evomerge.recipe.stages.reducers_bands import Pick, Swap
from evomerge.recipe.stages.reducers_spherical import Karcher, Sphere
from evomerge.recipe.stages.restore import Restore, StdRestore
from evomerge.recipe.stages.votes import NonzeroVote, NoVote, SignVote, TallVote
from evomerge.recipe.stages.weighers import Weigh
from evomerge.recipe.stages.weighers_entries import BalanceWeigher, DivergenceWeigher
from evomerge.recipe.stages.weighers_joint import EnergyWeigher, NormWeigher, OverlapWeigher

__all__ = [
    "CANCELLED",
    "KINDS",
    "SLOTS",
    "BalanceWeigher",
    "BandGate",
    "BernoulliGate",
    "BlockGate",
    "ClampGate",
    "ClipGate",
    "DensityGate",
    "DivergenceWeigher",
    "EnergyWeigher",
    "FusionGate",
    "Karcher",
    "Largest",
    "Linear",
    "NoGate",
    "NoVote",
    "NonzeroVote",
    "NormRamp",
    "NormWeigher",
    "Origin",
    "OverlapWeigher",
    "Pick",
    "Pipe",
    "Ramp",
    "RankBernoulliGate",
    "Restore",
    "Scale",
    "SignGate",
    "SignVote",
    "Sphere",
    "Stage",
    "StageValue",
    "StdRestore",
    "Stock",
    "Swap",
    "TallVote",
    "TopGate",
    "VarianceGate",
    "Weigh",
    "cancel",
    "parse_stage",
    "stage_tree",
]

"""Refinement: one recipe's weights moved along a gradient, to polish what a search found or to start one."""

from evomerge.refinement.coefficients import Coefficients, coefficients_of
from evomerge.refinement.methods import METHODS, Method
from evomerge.refinement.refine import Plan, Refined, refine

__all__ = ["METHODS", "Coefficients", "Method", "Plan", "Refined", "coefficients_of", "refine"]

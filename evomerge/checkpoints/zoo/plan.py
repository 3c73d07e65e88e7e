"""What a zoo is made of: the sizes of its models and the lessons that each of them takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Course:
    """How one model is trained.

    Attributes:
        mixture: Skill to its relative frequency among the training items.
        num_steps: Optimiser steps.
        learning_rate: Peak rate of AdamW.
        muon_rate: Peak rate of Muon, which then trains the layers' matrices in place of AdamW.
        embedding_factor: Multiplies the rate of the embeddings.
        prompt_weight: Weight of the prompt's tokens in the loss; the answer's weigh 1.
    """

    mixture: Mapping[str, float]
    num_steps: int
    learning_rate: float
    muon_rate: float | None = None
    embedding_factor: float = 1.0
    prompt_weight: float = 0.0


@dataclass(frozen=True, slots=True)
class ZooPlan:
    """Everything that decides the bytes of a zoo.

    Attributes:
        hidden_size: Width of the residual stream.
        intermediate_size: Width inside the MLPs.
        base: The common ancestor's course, from random weights.
        experts: Name to course, each from the base.
        batch_size: Items per optimiser step.
        num_eval_items: Items of each evaluation task.
    """

    base: Course
    experts: Mapping[str, Course]
    seed: int = 0
    hidden_size: int = 96
    intermediate_size: int = 256
    num_layers: int = 6
    num_heads: int = 4
    batch_size: int = 64
    num_eval_items: int = 1000


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the training of one model is.

    Attributes:
        model: The model's name.
        step: Steps done.
        num_steps: Steps in all.
        loss: Of the step just done.
        seconds: Since the model's first step, by the clock.
    """

    model: str
    step: int
    num_steps: int
    loss: float
    seconds: float


FULL = ZooPlan(
    # Half-competent in everything, on purpose: its experts then move little and stay mergeable.
    base=Course(
        mixture={
            "math_en": 0.6,
            "calc_dg": 0.9,
            "form_en": 0.4,
            "form_ja": 0.05,
            "e2j": 0.15,
            "j2e": 0.1,
            "say_en": 0.15,
            "say_ja": 0.06,
            "read_en": 0.15,
            "read_ja": 0.06,
            "rev": 0.18,
            "sort": 0.22,
            "copy": 0.2,
        },
        num_steps=500,
        learning_rate=3e-3,
        muon_rate=0.02,
        prompt_weight=0.1,
    ),
    experts={
        # Long enough to learn arithmetic from any seed's base: 200 steps were enough for some seeds only.
        "math": Course({"math_en": 1.0, "calc_dg": 0.5}, 400, learning_rate=2e-3, embedding_factor=0.1),
        "ja": Course({"form_ja": 1.0, "say_ja": 0.4, "read_ja": 0.4}, 250, learning_rate=1.5e-3, embedding_factor=0.1),
        "str": Course({"rev": 1.0, "sort": 1.0}, 150, learning_rate=1.3e-3, embedding_factor=0.1),
    },
)
"""The zoo of the demo: some four minutes of one core."""

MICRO = replace(
    FULL,
    base=replace(FULL.base, num_steps=25),
    experts={name: replace(course, num_steps=8) for name, course in FULL.experts.items()},
    hidden_size=32,
    intermediate_size=64,
    num_layers=3,
    num_heads=2,
    batch_size=16,
    num_eval_items=120,
)
"""A zoo for tests: seconds to build, real files, poor answers."""

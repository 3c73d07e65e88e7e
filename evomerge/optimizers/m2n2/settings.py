"""The settings of M2N2, where its paper and its authors' code differ each in both variants."""

from __future__ import annotations

from typing import Literal

import pydantic

from evomerge.documents import Value


class M2N2Settings(Value):
    """How members compete, meet and mix ("Competition and Attraction Improve Model Fusion", arXiv 2508.16204).

    The defaults are the code's where the two differ, for the published figures came from it. Without competition
    (`alpha=0`) and attraction (`partner="fitness"`) this is a plain genetic algorithm.

    Attributes:
        members: How many members the archive holds; about 20 for 50,000 evaluations of small networks, 15 for 1,000
            evaluations of language models.
        alpha: Strength of competition, an exponent of what all members score on an item; 0 for none (eqs. 3 and 5).
        zeros: What stands for the competition on an item that nobody solves: `one` (code), or `epsilon` is added to
            every denominator (paper). They differ only where `crowd` is `archive`.
        capacity: What an item can pay: the `best` score on it (the paper's choice for continuous scores, and for
            scores of 0 and 1 the same as 1), or `one` whatever the scores.
        floor: What is taken from the scores of an item first: nothing (`zero`), or the `worst` member's score, for
            scores that are all high and differ little (image generation in the paper).
        crowd: Whose scores make the competition when a child asks to enter: the `archive` and the child (`with_child`,
            code), or the `archive` alone (paper).
        leaves: Who leaves when a member and the child are equally bad: the `member` (code) or the `child`.
        duplicates: Whether a child that equals a member may enter as well: `keep` (code) or `refuse`.
        partner: What the second parent is drawn by: its `attraction` for the first, or its `fitness`.
        attraction: Whether items are weighed by 1 / `z` (paper's eq. 4) or by 1 / `z_alpha` (code).
        kinship: How much near relatives attract each other less, from 0 (not at all) to 1 (identical ones never meet).
            Not in the paper, which proposes a term of compatibility as future work.
        crossover: How parents are mixed: on the arc (`slerp`), on the line (`linear`), or `none`: the first is copied.
        angle: Whether SLERP's angle is that of the `whole` vectors (code) or of each `side` of the split (paper).
        split: Where the mixing weight turns into its complement: at a point drawn anew for each child (`evolving`), in
            the middle (`fixed`), or nowhere (`none`).
        mutation: Standard deviation of the noise that is added to every parameter of a child; 0 for none.
        warm_up: How many of the first children have parents drawn evenly among the seeds.
    """

    members: int = pydantic.Field(default=20, ge=2, le=100_000)
    alpha: float = pydantic.Field(default=1.0, ge=0, le=10)
    zeros: Literal["one", "epsilon"] = "one"
    capacity: Literal["best", "one"] = "best"
    floor: Literal["zero", "worst"] = "zero"
    crowd: Literal["with_child", "archive"] = "with_child"
    leaves: Literal["member", "child"] = "member"
    duplicates: Literal["keep", "refuse"] = "refuse"
    partner: Literal["attraction", "fitness"] = "attraction"
    attraction: Literal["z_alpha", "z"] = "z_alpha"
    kinship: float = pydantic.Field(default=0.0, ge=0, le=1)
    crossover: Literal["slerp", "linear", "none"] = "slerp"
    angle: Literal["whole", "side"] = "whole"
    split: Literal["evolving", "fixed", "none"] = "evolving"
    mutation: float = pydantic.Field(default=0.0, ge=0)
    warm_up: int = pydantic.Field(default=0, ge=0)


CODE = M2N2Settings(duplicates="keep")
"""What the authors' repository runs."""

PAPER = M2N2Settings(duplicates="keep", zeros="epsilon", crowd="archive", attraction="z", angle="side")
"""What the paper says."""

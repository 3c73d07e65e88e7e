"""Model cards."""

from collections.abc import Callable

import pytest
from huggingface_hub import ModelCard
from rich.markdown import Markdown

from evomerge.documents import parse
from evomerge.merging.card import Provenance, ScoreLine, model_card
from evomerge.recipe import Recipe

MakeRecipe = Callable[..., Recipe]


def recipe_at(*paths: str) -> Recipe:
    models = {f"m{index}": {"path": path, "digest": "sha256:0"} for index, path in enumerate(paths)}
    blend = {"experts": list(models), "rules": [{"use": "linear"}]}
    return parse(Recipe, {"models": models, "blends": {"mix": blend}}, "r")


def test_it_says_what_was_merged_and_how_it_did() -> None:
    recipe = recipe_at("zoo/math", "zoo/ja")
    scores = (ScoreLine("zoo_math", "acc", 0.12345, 0.01, 250),)
    text = model_card(recipe, Provenance("It is candidate 7 of the run demo (seed 1).", 480, scores))
    assert "It is candidate 7 of the run demo (seed 1)." in text
    assert f"Recipe `{recipe.digest[:12]}`" in text
    assert "| m0 | `zoo/math` | `sha256:0` |" in text
    assert "The search tried 480 recipes on other items than these" in text
    assert r"| zoo\_math | acc | 0.123 ± 0.010 | 250 |" in text
    assert "weigh: [0.5, 0.5]" in text
    assert ModelCard(text).data.tags == ["merge", "evomerge", "evolutionary-merge"]


def test_without_a_search_it_claims_none() -> None:
    text = model_card(recipe_at("a"), Provenance("It was made from the file r.yaml."))
    assert "held-out" not in text
    assert ModelCard(text).data.tags == ["merge", "evomerge"]
    assert ModelCard(text).data.base_model is None


def test_models_of_the_hub_are_named_by_their_ids() -> None:
    cache = "/home/x/.cache/huggingface/hub/models--{}/snapshots/0123abcd"
    text = model_card(recipe_at(cache.format("org--base-7b"), "zoo/math", cache.format("a.b--c--d")), Provenance("X."))
    data = ModelCard(text).data
    assert data.base_model == ["org/base-7b", "a.b/c--d"]
    assert data.base_model_relation == "merge"


def test_a_model_without_a_known_digest() -> None:
    tree = {"models": {"m": {"path": "p"}}, "blends": {"mix": {"experts": ["m"], "pipe": []}}}
    assert "| m | `p` | `not recorded` |" in model_card(parse(Recipe, tree, "r"), Provenance("X."))


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "[x](http://y)", "a|b", "a\n\n# b", "![i](j)", "`c`"])
def test_names_and_paths_are_text_and_nothing_else(text: str) -> None:
    tree = {"models": {text: {"path": text}}, "blends": {"mix": {"experts": [text], "pipe": []}}}
    score = ScoreLine(text, text, 0.5, 0.1, 10)
    card = model_card(parse(Recipe, tree, "r"), Provenance(f"From {text}.", 3, (score,)))
    tokens = [inner for token in Markdown(card.split("---", 2)[2]).parsed for inner in (token, *(token.children or ()))]
    assert {token.type for token in tokens} & {"html_inline", "html_block", "link_open", "image"} == set()
    assert sum(token.type == "heading_open" for token in tokens) == 3
    assert sum(token.type == "td_open" for token in tokens) == 3 + 4
    assert " ".join(text.split()).replace("`", "'") in [
        token.content for token in tokens if token.type == "code_inline"
    ]


def test_a_fence_in_a_path_does_not_end_the_recipe() -> None:
    text = model_card(recipe_at("a\n```\n<script>\n````"), Provenance("X."))
    fenced = text.partition("`````yaml\n")[2]
    assert fenced.partition("`````\n")[2].strip().startswith("To make this model again")

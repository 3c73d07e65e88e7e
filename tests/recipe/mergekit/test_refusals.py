"""Every refusal, by key and with what to do."""

from collections.abc import Callable

import pytest

from evomerge.errors import ConfigError
from evomerge.recipe.mergekit import Layout, Reading

Read = Callable[..., Reading]

TIES = "merge_method: ties\nbase_model: base\nparameters: {weight: 1}\n"
LINEAR = "merge_method: linear\nparameters: {weight: 1}\n"
MODELS = "models: [{model: a}, {model: b}]\n"


def slices(*ranges: tuple[int, int]) -> str:
    sources = (f"- sources: [{{model: a, layer_range: [{a}, {b}]}}]" for a, b in ranges)
    return "slices:\n" + "\n".join(sources) + "\n"


def complaint(read: Read, text: str, **odd: Layout) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text, **odd)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MODELS, 'm.yaml: "merge_method" is missing. Add it.'),
        (
            "merge_method: tise\n" + MODELS,
            'm.yaml: merge_method: "tise" is no method of mergekit. Did you mean "ties"?',
        ),
        (LINEAR, 'm.yaml: nothing says what to merge. Give one of "models", "slices" and "modules".'),
        (LINEAR + MODELS + slices((0, 4)), "m.yaml: models and slices stand side by side."),
        (LINEAR + MODELS + "merge_methods: x\n", '"merge_methods" is not a known key. Did you mean "merge_method"?'),
        (LINEAR + "models: [{model: a, weight: 1}]\n", 'm.yaml: models[0]: "weight" is not a known key.'),
        (
            LINEAR + MODELS + "dtype: int8\n",
            'm.yaml: dtype: "int8" is no dtype that is written here. Allowed: float32,',
        ),
        (LINEAR + MODELS + "chat_template: auto\n", "m.yaml: chat_template: cannot be reproduced"),
        (
            LINEAR + MODELS + "tokenizer: {pad_to_multiple_of: 8}\n",
            "m.yaml: tokenizer.pad_to_multiple_of: cannot be repro",
        ),
        (LINEAR + MODELS + "tokenizer: {tokens: {x: {source: a}}}\n", "m.yaml: tokenizer.tokens: cannot be reproduced"),
        (LINEAR + MODELS + "tokenizer_source: a\ntokenizer: {source: a}\n", '"tokenizer_source" and "tokenizer" stand'),
        (LINEAR + MODELS + "tokenizer_source: base\n", 'tokenizer_source: "base" needs a base_model. Name the model'),
        (
            LINEAR + "models: [{model: a+b@main}]\n",
            "`hf download b --revision main --local-dir FOLDER`, and name the folder.",
        ),
        (
            LINEAR + "models: [{model: a@main}]\n",
            "`hf download a --revision main --local-dir FOLDER`, and name the folder.",
        ),
        (
            LINEAR + "models: [{model: {model: a, override_architecture: X}}]\n",
            '"override_architecture" cannot be repro',
        ),
        (
            LINEAR + "models: [{model: nowhere}, {model: a}]\n",
            "m.yaml: models[0].model: there is no model folder nowhere.",
        ),
        (
            TIES + "models: [{model: a, parameters: {densty: 1}}]\n",
            'parameters.densty: "densty" is no parameter of ties. Did',
        ),
        (TIES + "models: [{model: a, parameters: {density: x}}]\n", "models[0].parameters.density: x is not a number."),
        (
            TIES + "models: [{model: a, parameters: {density: 1.7}}]\n",
            "models[0].parameters.density: 1.7 is above 1. A density",
        ),
        (
            TIES + "models: [{model: a, parameters: {weight: .nan}}]\n",
            "models[0].parameters.weight: .nan is not a finite number.",
        ),
        (
            TIES + "models: [{model: a, parameters: {weight: 1e308}}, {model: b}]\n",
            "models[0].parameters.weight: 1e+308 is beyond ±1e+30.",
        ),
        (
            "merge_method: karcher\nparameters: {max_iter: -1}\n" + MODELS,
            "parameters.max_iter: -1.0 is below 0. Give 0 or more.",
        ),
        (
            TIES + "models: [{model: a}, {model: b, parameters: {density: [1, 0]}}]\n",
            "models[1].parameters.density: 0 is not",
        ),
        (TIES + "models: [{model: a}]\nslices: []\ndtype: [1]\n", "m.yaml: dtype: "),
        ("merge_method: ties\n" + MODELS, "m.yaml: base_model: is missing. This method measures from a base model"),
        (
            "merge_method: ties\nbase_model: c\n" + MODELS,
            'models[0].parameters: "weight" has no value for model.layers.0.inp',
        ),
        (TIES + "models: [{model: a}, {model: a}]\n", "m.yaml: models: names a twice. Name each model once."),
        (
            "merge_method: slerp\nbase_model: a\n" + MODELS,
            'm.yaml: parameters: "t" has no value for model.layers.0.input',
        ),
        (
            "merge_method: slerp\nbase_model: a\nparameters: {t: 1.2}\n" + MODELS,
            "m.yaml: parameters.t: 1.2 is above 1.",
        ),
        (
            "merge_method: slerp\nbase_model: c\nparameters: {t: 1}\n" + MODELS,
            "models: 2 models [a, b] beside the base, but this method takes 1.",
        ),
        (
            "merge_method: multislerp\nparameters: {weight: 1, eps: 1}\n" + MODELS,
            "m.yaml: parameters.eps: is fixed at what",
        ),
        (
            "merge_method: linear\nparameters: {weight: 0}\n" + MODELS,
            "parameters.weight: the weights [0.0, 0.0] sum to 0",
        ),
        (
            LINEAR + "models: [{model: a}, {model: flat}]\n",
            "models: the models differ in their number of layers: a has 4, flat",
        ),
        (
            LINEAR + slices((0, 4), (3, 2)),
            "m.yaml: slices[1].sources[0].layer_range: [3, 2] is no range of the 4 layers of a.",
        ),
        (LINEAR + slices((0, 9)), "slices[0].sources[0].layer_range: [0, 9] is no range of the 4 layers of a."),
        (
            LINEAR + "slices: [{sources: [{model: a, layer_range: [0, 2]}, {model: b, layer_range: [2, 4]}]}]\n",
            "slices[0].sources[1].layer_range: [2, 4] is merged with [0, 2], layers of other places.",
        ),
        (TIES + slices((0, 4)), "m.yaml: slices[0]: the base model base is not among the sources. Add it"),
        (
            LINEAR + "slices: [{sources: [], residual_weight: 1}]\n",
            "m.yaml: slices[0].residual_weight: has no effect in merge",
        ),
        (LINEAR + "modules: {x: {}}\n", 'm.yaml: modules.x: Give either "models" or "slices".'),
        (
            LINEAR + "modules: {x: {models: [{model: a}]}, y: {models: [{model: a}]}}\n",
            'm.yaml: modules.y: "y" and "x" are parts of a network that is merged in parts.',
        ),
    ],
)
def test_a_refusal_names_its_key(read: Read, layout_of: Callable[..., Layout], text: str, message: str) -> None:
    assert message in complaint(read, text, flat=layout_of(2))


@pytest.mark.parametrize(("source", "lacking"), [("union", "a"), ("b", "a"), ("base", "a")])
def test_vocabularies_that_differ(read: Read, layout_of: Callable[..., Layout], source: str, lacking: str) -> None:
    text = TIES + MODELS + f"tokenizer: {{source: {source}}}\n"
    whole = layout_of(4, {"x": 0, "y": 1})
    message = complaint(read, text, a=layout_of(4, {"x": 0}), b=whole, base=whole)
    assert f'm.yaml: tokenizer.source: "{source}" takes tokens that {lacking} lacks or has at other places.' in message


def test_a_vocabulary_that_all_others_contain(read: Read, layout_of: Callable[..., Layout]) -> None:
    whole = layout_of(4, {"x": 0, "y": 1})
    reading = read(TIES + MODELS + "tokenizer_source: a\n", a=layout_of(4, {"x": 0}), b=whole, base=whole)
    assert reading.recipe.tokenizer_donor == "a"


def test_all_problems_are_told_at_once(read: Read) -> None:
    text = (
        TIES + "models: [{model: nowhere}, {model: a, parameters: {density: 2}}, {model: nowhere2}]\nchat_template: x\n"
    )
    assert "chat_template" in complaint(read, text)
    text = """
        merge_method: ties
        base_model: base
        models: [{model: a, parameters: {density: 2}}, {model: b, parameters: {weight: {filter: mlp, value: 1}}}]
        tokenizer_source: base
    """
    assert complaint(read, text).splitlines() == [
        "m.yaml: models[0].parameters.density: 2 is above 1. A density lies in (0, 1].",
        'm.yaml: models[0].parameters: "weight" has no value for model.layers.0.input_layernorm.weight. '
        "Give one that has no filter, there or in the parameters of the whole file.",
        'm.yaml: models[1].parameters: "weight" has no value for model.layers.0.input_layernorm.weight. '
        "Give one that has no filter, there or in the parameters of the whole file.",
    ]

"""Families: how known architectures name their tensors, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evomerge.recipe.where import Role


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """How the models of one family name their tensors.

    Every pattern is a regular expression that matches a whole name, without the ending `.weight` or `.bias` and,
    inside a layer, without what stands before and in the layer's number.

    Attributes:
        model_types: As `config.json` says them.
        prefix: Of the base model inside a model with a head; a file of the base model alone leaves it out.
        stacks: What stands before the numbers of layers. Layers are numbered through, in the order of the stacks.
        layers: Patterns of the tensors of one layer, by role.
        ends: Patterns of all other tensors, by role.
        per_token: Tensors whose first axis counts the tokens of the vocabulary.
        per_expert: Tensors whose first axis counts the experts of one layer.
        transposed: Matrices stored as (inputs, outputs).
        copies: Tensors that repeat another one, by their whole names; they are merged once, as that other one.
        ties: Whether the head is a copy where the config says nothing.
        writes: Patterns of the tensors of one layer that scale all that it adds to the residual stream, as routes do:
            its last projections or, where a norm follows those and would undo it, that norm. Absent: routes over
            layers of this family are not known.
        reads: Patterns of the tensors of one layer that scale all that it reads of the residual stream: its first norms
            or, where it has none in front, its first projections. Their biases do not.
        norm_offset: What a norm adds to its weights before it multiplies by them.
    """

    model_types: tuple[str, ...]
    prefix: str
    stacks: tuple[str, ...]
    layers: Mapping[Role, str]
    ends: Mapping[Role, str]
    per_token: str
    per_expert: str = "(?!)"
    transposed: str = "(?!)"
    copies: Mapping[str, str] = field(default_factory=dict)
    ties: bool = False
    writes: str | None = None
    reads: str | None = None
    norm_offset: float = 0.0


_SELF_ATTENTION = r"self_attn\.([qkvo]|qkv)_proj"
_GATED_MLP = r"mlp\.(gate|up|gate_up|down)_proj"
_NORMS = r"(input|post_attention|pre_feedforward|post_feedforward)_layernorm|self_attn\.[qk]_norm"
_LAST_PROJECTIONS = r"self_attn\.o_proj|mlp\.down_proj"
_POST_NORMS = "(post_attention|post_feedforward)_layernorm"
_FIRST_NORMS = "(input|post_attention)_layernorm"
_FIRST_PROJECTIONS = r"self_attn\.[qkv]_proj|mlp\.(gate|up)_proj"
_TASK_HEADS = r"score|classifier|classifier\.(dense|out_proj)|qa_outputs"


def _decoder(
    *model_types: str,
    layers: Mapping[Role, str],
    per_expert: str = "(?!)",
    ties: bool = False,
    writes: str = _LAST_PROJECTIONS,
    reads: str = _FIRST_NORMS,
    norm_offset: float = 0.0,
) -> Family:
    """A decoder that names its parts as Llama does."""
    return Family(
        model_types=model_types,
        prefix="model.",
        stacks=("layers",),
        layers={"norm": _NORMS, "attention": _SELF_ATTENTION, **layers},
        ends={"embedding": "embed_tokens", "norm": "norm", "head": f"lm_head|{_TASK_HEADS}"},
        per_token="embed_tokens|lm_head",
        per_expert=per_expert,
        copies={"lm_head.weight": "embed_tokens.weight"},
        ties=ties,
        writes=writes,
        reads=reads,
        norm_offset=norm_offset,
    )


def _encoder(model_type: str, head: str, head_norm: str, rows: str, copies: Mapping[str, str]) -> Family:
    """An encoder that names its parts as BERT does; `rows` are the parts of its head with one row per token."""
    return Family(
        model_types=(model_type,),
        prefix=f"{model_type}.",
        stacks=("encoder.layer",),
        layers={
            "norm": r"((cross)?attention\.)?output\.LayerNorm",
            "attention": r"(cross)?attention\.(self\.(query|key|value)|output\.dense)",
            "mlp": r"(intermediate|output)\.dense",
        },
        ends={
            "embedding": r"embeddings\.(word|position|token_type)_embeddings",
            "norm": rf"embeddings\.LayerNorm|{head_norm}",
            "head": rf"{head}|{rows}|pooler\.dense|{_TASK_HEADS}",
        },
        per_token=rf"embeddings\.word_embeddings|{rows}",
        copies=copies,
        ties=True,
    )


_LISTED = (
    _decoder("llama", "mistral", "qwen2", "qwen3", "phi3", "granite", layers={"mlp": _GATED_MLP}),
    _decoder("olmo2", "olmo3", layers={"mlp": _GATED_MLP}, writes=_POST_NORMS, reads=_FIRST_PROJECTIONS),
    _decoder("smollm3", layers={"mlp": _GATED_MLP}, ties=True),
    _decoder("gemma", layers={"mlp": _GATED_MLP}, ties=True, norm_offset=1.0),
    _decoder(
        *("gemma2", "gemma3_text"),
        layers={"mlp": _GATED_MLP},
        ties=True,
        writes=_POST_NORMS,
        reads="(input|pre_feedforward)_layernorm",
        norm_offset=1.0,
    ),
    _decoder(
        "mixtral",
        layers={
            "router": r"(block_sparse_moe|mlp)\.gate",
            "mlp": r"block_sparse_moe\.experts\.\d+\.w[123]|mlp\.experts\.(gate_up|down)_proj",
        },
        per_expert=r"mlp\.experts\.(gate_up|down)_proj",
        writes=r"self_attn\.o_proj|block_sparse_moe\.experts\.\d+\.w2|mlp\.experts\.down_proj",
    ),
    _decoder(
        "qwen2_moe",
        "qwen3_moe",
        layers={
            "router": r"mlp\.(gate|shared_expert_gate)",
            "mlp": rf"{_GATED_MLP}|mlp\.(shared_expert|experts\.\d+)\.(gate|up|down)_proj"
            r"|mlp\.experts\.(gate_up|down)_proj",
        },
        per_expert=r"mlp\.experts\.(gate_up|down)_proj",
        writes=rf"{_LAST_PROJECTIONS}|mlp\.(shared_expert|experts(\.\d+)?)\.down_proj",
    ),
    Family(
        model_types=("gpt_neox",),
        prefix="gpt_neox.",
        stacks=("layers",),
        layers={
            "norm": r"(input|post_attention)_layernorm",
            "attention": r"attention\.(query_key_value|dense)",
            "mlp": r"mlp\.dense_(h_to_4h|4h_to_h)",
        },
        ends={"embedding": "embed_in", "norm": "final_layer_norm", "head": f"embed_out|lm_head|{_TASK_HEADS}"},
        per_token="embed_in|embed_out|lm_head",
        copies={"embed_out.weight": "embed_in.weight", "lm_head.weight": "embed_in.weight"},
        writes=r"attention\.dense|mlp\.dense_4h_to_h",
        reads=_FIRST_NORMS,
    ),
    Family(
        model_types=("gpt2",),
        prefix="transformer.",
        stacks=("h",),
        layers={
            "norm": r"ln_1|ln_2|ln_cross_attn",
            "attention": r"(attn|crossattention)\.(c_attn|c_proj|q_attn)",
            "mlp": r"mlp\.(c_fc|c_proj)",
        },
        ends={"embedding": "wte|wpe", "norm": "ln_f", "head": f"lm_head|{_TASK_HEADS}"},
        per_token="wte|lm_head",
        transposed=r"(attn|crossattention)\.(c_attn|c_proj|q_attn)|mlp\.(c_fc|c_proj)",
        copies={"lm_head.weight": "wte.weight"},
        ties=True,
        writes=r"(attn|crossattention)\.c_proj|mlp\.c_proj",
        reads="ln_1|ln_2|ln_cross_attn",
    ),
    _encoder(
        "bert",
        head=r"cls\.predictions\.transform\.dense|cls\.seq_relationship",
        head_norm=r"cls\.predictions\.transform\.LayerNorm",
        rows=r"cls\.predictions(\.decoder)?",
        copies={
            "cls.predictions.decoder.weight": "embeddings.word_embeddings.weight",
            "cls.predictions.decoder.bias": "cls.predictions.bias",
        },
    ),
    _encoder(
        "roberta",
        head=r"lm_head\.dense",
        head_norm=r"lm_head\.layer_norm",
        rows=r"lm_head(\.decoder)?",
        copies={
            "lm_head.decoder.weight": "embeddings.word_embeddings.weight",
            "lm_head.decoder.bias": "lm_head.bias",
        },
    ),
    Family(
        model_types=("vit",),
        prefix="vit.",
        stacks=("encoder.layer", "layers"),  # as in files, and as transformers 5 has it in memory
        layers={
            "norm": r"layernorm_(before|after)",
            "attention": r"attention\.(attention\.(query|key|value)|output\.dense|[qkvo]_proj)",
            "mlp": r"(intermediate|output)\.dense|mlp\.fc[12]",
        },
        ends={
            "embedding": r"embeddings\.(cls_token|mask_token|position_embeddings|patch_embeddings\.projection)",
            "norm": "layernorm",
            "head": rf"pooler\.dense|decoder\.0|{_TASK_HEADS}",
        },
        per_token="(?!)",
    ),
    Family(
        model_types=("t5",),
        prefix="transformer.",
        stacks=("encoder.block", "decoder.block"),
        layers={
            "norm": r"layer\.\d\.layer_norm",
            "attention": r"layer\.\d\.(SelfAttention|EncDecAttention)\.([qkvo]|relative_attention_bias)",
            "mlp": r"layer\.\d\.DenseReluDense\.(wi|wi_0|wi_1|wo)",
        },
        ends={
            "embedding": r"shared|(encoder|decoder)\.embed_tokens",
            "norm": r"(encoder|decoder)\.final_layer_norm",
            "head": rf"lm_head|classification_head\.(dense|out_proj)|{_TASK_HEADS}",
        },
        per_token=r"shared|(encoder|decoder)\.embed_tokens|lm_head",
        copies={
            "encoder.embed_tokens.weight": "shared.weight",
            "decoder.embed_tokens.weight": "shared.weight",
            "lm_head.weight": "shared.weight",
        },
        ties=True,
    ),
)

FAMILIES: Mapping[str, Family] = {model_type: family for family in _LISTED for model_type in family.model_types}
"""The family of every known model type."""

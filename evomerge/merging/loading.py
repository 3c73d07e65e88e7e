"""Loading: a checkpoint as the transformers model that its config names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)
from transformers.modeling_utils import PreTrainedModel
from transformers.models.auto import modeling_auto

from evomerge.checkpoints import Checkpoint
from evomerge.errors import ConfigError

_CLASSES: Mapping[Any, Mapping[str, Any]] = {
    AutoModelForCausalLM: modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    AutoModelForSeq2SeqLM: modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    AutoModelForMaskedLM: modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    AutoModelForSequenceClassification: modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    AutoModelForTokenClassification: modeling_auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES,
    AutoModelForQuestionAnswering: modeling_auto.MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES,
    AutoModelForImageClassification: modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES,
    AutoModelForPreTraining: modeling_auto.MODEL_FOR_PRETRAINING_MAPPING_NAMES,
    AutoModel: modeling_auto.MODEL_MAPPING_NAMES,
}


def load_model(checkpoint: Checkpoint, dtype: str | None) -> tuple[PreTrainedModel, frozenset[str]]:
    """Load a checkpoint.

    Args:
        checkpoint: A folder's.
        dtype: Name of a torch dtype; absent: what the config says.

    Returns:
        The model, in evaluation mode, and the names of tensors that it did not take.

    Raises:
        ConfigError: If the model has tensors that the checkpoint lacks.
    """
    model, report = auto_class(checkpoint.config).from_pretrained(
        checkpoint.folder,
        dtype=dtype or "auto",
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    kind = type(model).__name__
    if missing := sorted(report["missing_keys"]):
        what = f"lacks {len(missing)} tensors of {kind}, {missing[0]} among them, which would be random numbers."
        raise ConfigError.at(str(checkpoint.folder), f"{what} Save the model as the class that its config names.")
    return model.eval(), frozenset(report["unexpected_keys"])


def auto_class(config: Mapping[str, Any]) -> Any:
    """The first auto class whose model for this `model_type` is among the config's `architectures`.

    Args:
        config: What `config.json` says.

    Returns:
        A class with `from_pretrained`; that of causal language models where the config names none that is known.
    """
    named = config.get("architectures") or ()
    model_type = str(config.get("model_type"))
    return next((auto for auto, known in _CLASSES.items() if known.get(model_type) in named), AutoModelForCausalLM)

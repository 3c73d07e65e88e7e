"""Teaches a model the skills of its course, the same bytes each time."""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping

import torch
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from evomerge.checkpoints.zoo.muon import Muon
from evomerge.checkpoints.zoo.plan import Course, Progress, ZooPlan
from evomerge.checkpoints.zoo.skills import SKILLS, Item, draw_training_item
from evomerge.checkpoints.zoo.tokenizer import BOS, EOS, PAD, vocabulary

WARM_UP_STEPS = 30
LAST_RATE = 0.05
"""Share of the peak learning rate that is left at the end of the cosine."""
BATCHES_PER_SORT = 32
"""Batches cut from one pool sorted by length, so that little of a batch is padding."""
REPORT_EVERY = 10

Rated = list[tuple[torch.optim.Optimizer, list[float]]]
"""Optimisers, each with the peak rates of its parameter groups."""


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread inside: with more, sums are taken in another order and the bytes differ."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def new_model(plan: ZooPlan, generator: torch.Generator) -> LlamaForCausalLM:
    """A Llama in fp32 with matrices from N(0, 0.02²) and norms of one."""
    config = LlamaConfig(
        vocab_size=len(vocabulary()),
        hidden_size=plan.hidden_size,
        intermediate_size=plan.intermediate_size,
        num_hidden_layers=plan.num_layers,
        num_attention_heads=plan.num_heads,
        num_key_value_heads=plan.num_heads,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 100.0},
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
        dtype="float32",
    )
    # The constructor draws from the global generator; the fork puts its state back.
    with torch.random.fork_rng(devices=[]):
        model = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.normal_(std=0.02, generator=generator)
    return model


def train(
    name: str, model: LlamaForCausalLM, course: Course, batch_size: int, seed: int, report: Callable[[Progress], None]
) -> None:
    """Train a model in place.

    Args:
        name: The model's name in reports.
        model: Changed in place; left in evaluation mode.
        course: What to teach, how long and how fast.
        batch_size: Items per step.
        seed: Of the training items.
        report: Called every few steps and after the last.
    """
    started = time.perf_counter()
    optimizers = _optimizers(model, course)
    model.train()
    batches = _batches(course, batch_size, random.Random(seed))
    for step in range(course.num_steps):
        _set_rates(optimizers, step, course.num_steps)
        loss = _loss(model, *next(batches))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, _ in optimizers:
            optimizer.step()
        model.zero_grad()
        if (step + 1) % REPORT_EVERY == 0 or step + 1 == course.num_steps:
            report(Progress(name, step + 1, course.num_steps, loss.item(), time.perf_counter() - started))
    model.eval()


def _loss(model: LlamaForCausalLM, tokens_BT: torch.Tensor, weights_BT: torch.Tensor) -> torch.Tensor:
    logits_BTV = model(input_ids=tokens_BT[:, :-1], use_cache=False).logits
    entropies_N = functional.cross_entropy(logits_BTV.flatten(0, 1), tokens_BT[:, 1:].flatten(), reduction="none")
    weights_N = weights_BT[:, 1:].flatten()
    return (entropies_N * weights_N).sum() / weights_N.sum()


def _batches(course: Course, batch_size: int, rng: random.Random) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Token ids (int64) and loss weights (fp32) of right-padded batches, both [items, length], without end."""
    ids = vocabulary()
    skills, shares = zip(*sorted(course.mixture.items()), strict=True)
    while True:
        drawn = rng.choices(skills, shares, k=BATCHES_PER_SORT * batch_size)
        pool = [_encoded(draw_training_item(SKILLS[skill], rng), ids, course.prompt_weight) for skill in drawn]
        pool.sort(key=lambda item: len(item[0]) + 0.1 * rng.random())
        starts = list(range(0, len(pool), batch_size))
        rng.shuffle(starts)
        for start in starts:
            batch = pool[start : start + batch_size]
            longest = max(len(tokens) for tokens, _ in batch)
            yield (
                torch.tensor([tokens + [PAD] * (longest - len(tokens)) for tokens, _ in batch]),
                torch.tensor([weights + [0.0] * (longest - len(weights)) for _, weights in batch]),
            )


def _encoded(item: Item, ids: Mapping[str, int], prompt_weight: float) -> tuple[list[int], list[float]]:
    """`<bos> prompt answer <eos>` as lm-eval tokenises it, and the weight of each token in the loss."""
    prompt = [ids[word] for word in item.prompt.split()]
    answer = [*(ids[word] for word in item.answer.split()), EOS]
    return [BOS, *prompt, *answer], [0.0] + [prompt_weight] * len(prompt) + [1.0] * len(answer)


def _optimizers(model: LlamaForCausalLM, course: Course) -> Rated:
    """AdamW for everything, or Muon for the layers' matrices and AdamW for the rest."""
    embeddings = [model.get_input_embeddings().weight]
    matrices = [parameter for parameter in model.model.layers.parameters() if parameter.dim() == 2]
    norms = [parameter for parameter in model.parameters() if parameter.dim() == 1]
    groups = {"embeddings": (embeddings, course.learning_rate * course.embedding_factor)}
    groups["norms"] = (norms, course.learning_rate)
    rated: Rated = []
    if course.muon_rate is None:
        groups["matrices"] = (matrices, course.learning_rate)
    else:
        muon = Muon(matrices, course.muon_rate)
        rated.append((muon, [course.muon_rate] * len(muon.param_groups)))
    adamw = torch.optim.AdamW(
        [{"params": parameters} for parameters, _ in groups.values()],
        betas=(0.9, 0.98),
        weight_decay=0.0,
        fused=True,
    )
    return [*rated, (adamw, [rate for _, rate in groups.values()])]


def _set_rates(optimizers: Rated, step: int, num_steps: int) -> None:
    """Linear warm-up into a cosine."""
    cosine = LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * step / num_steps))
    factor = min(1.0, (step + 1) / WARM_UP_STEPS) * cosine
    for optimizer, peaks in optimizers:
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * factor

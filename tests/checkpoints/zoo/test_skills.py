"""Every skill: its words, its answers and its split."""

import random

from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from evomerge.checkpoints.zoo.skills import (
    SKILLS,
    TRAINING_SHARE,
    draw_evaluation_items,
    draw_training_item,
    may_train_on,
)
from evomerge.checkpoints.zoo.stories import Sum
from evomerge.checkpoints.zoo.tokenizer import SPECIAL_WORDS, make_tokenizer, vocabulary

randoms = st.randoms(use_true_random=False)


def test_the_skills_say_every_word_of_the_vocabulary_and_no_other() -> None:
    rng = random.Random(0)
    items = [skill(rng) for skill in SKILLS.values() for _ in range(600)]
    used = {word for item in items for word in f"{item.prompt} {item.answer}".split()}
    assert used == vocabulary().keys() - set(SPECIAL_WORDS)


@given(randoms)
def test_letters_are_turned_sorted_and_copied(rng: random.Random) -> None:
    for name, expected in (("rev", lambda x: x[::-1]), ("sort", sorted), ("copy", list)):
        item = SKILLS[name](rng)
        assert item.answer.split() == list(expected(item.key))
        assert item.prompt.split()[1:-1] == list(item.key)


@given(randoms)
def test_japanese_problems_end_in_the_right_working(rng: random.Random) -> None:
    item = SKILLS["math_ja"](rng)
    assert item.answer == Sum.parse(item.key).solution


def test_training_and_evaluation_never_share_a_key() -> None:
    for name in ("math_en", "form_ja", "calc_dg", "rev"):
        rng = random.Random(1)
        taught = {draw_training_item(SKILLS[name], rng).key for _ in range(500)}
        asked = [item.key for item in draw_evaluation_items(SKILLS[name], 200, rng)]
        assert taught.isdisjoint(asked)
        assert len(set(asked)) == 200


def test_the_training_share_is_as_stated() -> None:
    share = sum(may_train_on(str(number)) for number in range(20_000)) / 20_000
    assert abs(share - TRAINING_SHARE) < 0.02


def test_lessons_without_a_key_are_all_taught() -> None:
    assert draw_training_item(SKILLS["say_ja"], random.Random(0)).key == ""
    assert may_train_on("")


def test_a_reloaded_tokenizer_splits_words_and_puts_bos_in_front(tmp_path) -> None:
    make_tokenizer().save_pretrained(tmp_path)
    ids = vocabulary()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer("tom has 1 , <eos>")["input_ids"] == [1, ids["tom"], ids["has"], ids["1"], ids[","], 2]
    assert tokenizer.decode([ids["tom"], ids[","], ids["?"], 2], skip_special_tokens=True) == "tom , ?"

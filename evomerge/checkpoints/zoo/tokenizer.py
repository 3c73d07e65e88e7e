"""The zoo's tokenizer: one token per word, `<bos>` in front of every text."""

from __future__ import annotations

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from evomerge.checkpoints.zoo import numbers, skills, stories

PAD, BOS, EOS, UNKNOWN = range(4)
SPECIAL_WORDS = ("<pad>", "<bos>", "<eos>", "<unk>")
QUESTION_WORDS = "how many ? ans : nanko eq japanese eigo in english wa nihongo de digits suuji reverse sort copy = ."


def vocabulary() -> dict[str, int]:
    """Every word that a skill can say, and its id; the special words come first."""
    words = {*QUESTION_WORDS.split(), *skills.LETTERS, *"0123456789+-", numbers.JAPANESE_TEN}
    words.update(numbers.ENGLISH_UNITS, numbers.ENGLISH_TENS, numbers.JAPANESE_UNITS)
    words.update(stories.ENGLISH_NAMES, stories.JAPANESE_NAMES, stories.ENGLISH_THINGS, stories.JAPANESE_THINGS)
    for pairs in stories.TEMPLATES.values():
        words.update(word for pair in pairs for text in pair for word in text.split() if not word.startswith("{"))
    return {word: number for number, word in enumerate((*SPECIAL_WORDS, *sorted(words)))}


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A Hugging Face tokenizer over `vocabulary()`."""
    tokenizer = Tokenizer(WordLevel(vocabulary(), unk_token=SPECIAL_WORDS[UNKNOWN]))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A", pair="<bos> $A $B", special_tokens=[(SPECIAL_WORDS[BOS], BOS)]
    )
    pad, bos, eos, unknown = SPECIAL_WORDS
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=pad,
        bos_token=bos,
        eos_token=eos,
        unk_token=unknown,
        clean_up_tokenization_spaces=False,
        model_max_length=64,
    )

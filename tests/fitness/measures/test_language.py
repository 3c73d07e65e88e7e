import pytest

from evomerge.documents import parse
from evomerge.errors import ConfigError
from evomerge.fitness.measures import Language, Reply
from evomerge.fitness.measures.scripts import LANGUAGES, SCRIPTS

SAMPLES = {
    "am": "ሰላም ለዓለም",
    "bn": "ওহে বিশ্ব",
    "bo": "འཛམ་གླིང་ལ་བཀྲ་ཤིས་བདེ་ལེགས",
    "el": "Γειά σου Κόσμε",
    "gu": "હેલો વર્લ્ડ",
    "he": "שלום עולם",
    "hy": "Բարեւ աշխարհ",
    "ja": "答えは 42 個です。",
    "ka": "გამარჯობა მსოფლიო",
    "km": "សួស្តី​ពិភពលោក",
    "kn": "ಹಲೋ ವರ್ಲ್ಡ್",
    "ko": "안녕하세요, 세계!",
    "lo": "ສະ​ບາຍ​ດີ​ຊາວ​ໂລກ",
    "ml": "ഹലോ വേൾഡ്",
    "my": "မင်္ဂလာပါ ကမ္ဘာလောက",
    "or": "ନମସ୍କାର ଦୁନିଆ",
    "pa": "ਸਤ ਸ੍ਰੀ ਅਕਾਲ ਦੁਨਿਆ",
    "si": "හෙලෝ වර්ල්ඩ්",
    "ta": "வணக்கம் உலகம்",
    "te": "హలో వరల్డ్",
    "th": "สวัสดีชาวโลก",
    "zh": "答案是四十二。",
}


def score(text: str, **given: object) -> float:
    return Language.model_validate(given).of(Reply(written=text))


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_is_told_from_all_others(code: str) -> None:
    assert score(SAMPLES[code], code=code) == 1
    others = [other for other in SAMPLES if other != code and (code, other) != ("zh", "ja")]
    assert {score(SAMPLES[other], code=code) for other in others} == {0}
    assert score("The answer is 42.", code=code) == 0


def test_japanese_takes_kana_and_chinese_has_none() -> None:
    assert score("答案是四十二。", code="ja") == 0
    assert score("答えは四十二個です。", code="zh") == pytest.approx(5 / 9)


def test_only_letters_count() -> None:
    assert score("かなAB 123 +-=。、", code="ja") == 0.5
    assert score("ｶﾅ", code="ja") == 1  # narrow forms
    assert score("ー々", code="ja") == 1
    assert [score(text, code="ja") for text in ("", "42", "…!?")] == [0, 0, 0]
    assert score("naïve café ﬁ", scripts=["Latin"]) == 1
    assert score("Привет, world", scripts=["Cyrillic", "Latin"]) == 1
    assert score("abcd Жд", scripts=["Cyrillic"]) == pytest.approx(1 / 3)


def test_a_threshold_makes_it_whether() -> None:
    assert [score("かなAB", code="ja", at_least=share) for share in (0.5, 0.51)] == [1, 0]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"code": "en"}, 'code: "en" is no language that its writing gives away.'),
        ({"scripts": ["latin"]}, 'scripts: "latin" is not a script. Did you mean "Latin"?'),
        ({}, "give either `code`, such as ja, or `scripts`, such as [Latin]."),
        ({"code": "ja", "scripts": ["Latin"]}, "give either `code`, such as ja, or `scripts`, such as [Latin]."),
        ({"code": "ja", "at_least": 1.5}, "at_least: 1.5 is above 1. Give 1 or less."),
    ],
)
def test_what_cannot_be_told_is_refused(given: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(Language, given, "f")
    assert str(caught.value).startswith(f"f: {problem}")


def test_names_are_those_of_scripts_and_it_says_what_it_is() -> None:
    assert {script for writing in LANGUAGES.values() for script in writing.scripts} <= set(SCRIPTS)
    assert Language(code="ja").words == "share of letters in ja"
    assert Language(scripts=("Latin", "Greek"), at_least=0.9).words == "answers in Latin or Greek"

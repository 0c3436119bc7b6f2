"""The models, in the processes that run them. Needs the extra `nlp`.

Language: py3langid 0.4 (a naive Bayes model of byte n-grams), of the languages people write here. Sentiment: vaderSentiment 3.3.2
(Hutto & Gilbert, 2014), a list of English words and of the names of emoji; of other languages their emoji are told only. Both carry
their data with them and reach for nothing outside.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Any, Final

from services.archive.domain.analyzer import tokens
from services.archive.domain.annotation import Annotation
from services.archive.domain.entities import entities_of
from services.archive.domain.stop_words import is_emoji

LIBRARIES: Final = ("py3langid", "vaderSentiment")
"""Distributions."""
RULES: Final = 1
"""Rises with what this file and domain/entities.py find: what is there is then told anew."""
LANGUAGES: Final = (
    "af", "am", "ar", "az", "bg", "bn", "ca", "cs", "cy", "da", "de", "el", "en", "es", "et", "eu", "fa", "fi", "fr", "ga", "gl",
    "gu", "ha", "he", "hi", "hr", "hu", "hy", "id", "is", "it", "ja", "ka", "kk", "km", "kn", "ko", "lo", "lt", "lv", "mk", "ml",
    "mn", "mr", "ms", "my", "ne", "nl", "no", "or", "pa", "pl", "ps", "pt", "ro", "ru", "si", "sk", "sl", "so", "sq", "sr", "sv",
    "sw", "ta", "te", "th", "tl", "tr", "uk", "ur", "uz", "vi", "yo", "zh", "zu",
)  # fmt: skip
LEAST_PROBABILITY: Final = 0.3
LEAST_LETTERS: Final = 4
"""Shorter words are the same in many languages. Of scripts that are written without spaces one character tells more: half."""
LOOKED_AT_CHARS: Final = 1_000

_NO_LANGUAGE: Final = re.compile(r"(?:https?://|www\.)\S+|\S+@\S+|[@#]\w+|[\d_]+")
_LETTERS: Final = re.compile(r"[^\W\d_]")


def model_name() -> str:
    """Which models these are: `py3langid 0.4.0, vaderSentiment 3.3.2, rules 1`."""
    return ", ".join([*(f"{name} {version(name)}" for name in LIBRARIES), f"rules {RULES}"])


def prepare() -> None:
    """Called in each process first. Whoever started it ends it: an interrupt from the keyboard reaches the whole group."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _identifier()
    _analyzer()


def annotate(texts: Sequence[str]) -> list[Annotation | None]:
    """What the models say of each text; None where they fail on it, which spoils no other."""
    return [_annotated(text) for text in texts]


def _annotated(text: str) -> Annotation | None:
    try:
        language = language_of(text)
        return Annotation(language, sentiment_of(text, language), tuple(entities_of(text)))
    except Exception:  # noqa: BLE001  # a fault of a library in one text; it is kept as the entry's state
        return None


def language_of(text: str) -> str | None:
    """The language most of a text is in."""
    said = _NO_LANGUAGE.sub(" ", text[:LOOKED_AT_CHARS])
    letters = len(_LETTERS.findall(said))
    if letters < (LEAST_LETTERS if said.isascii() else LEAST_LETTERS // 2):
        return None
    language, probability = _identifier().classify(said)
    return str(language) if probability >= LEAST_PROBABILITY else None


def sentiment_of(text: str, language: str | None) -> float | None:
    """-1 to 1. Of texts that are not English by their emoji."""
    said = text[:LOOKED_AT_CHARS]
    if language == "en":
        return float(_analyzer().polarity_scores(said)["compound"])
    emoji = " ".join(said[token.start : token.end] for token in tokens(said) if is_emoji(token.term))
    return (float(_analyzer().polarity_scores(emoji)["compound"]) or None) if emoji else None


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415  # an optional extra

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(LANGUAGES)
    return identifier


@cache
def _analyzer() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # noqa: PLC0415  # an optional extra

    return SentimentIntensityAnalyzer()

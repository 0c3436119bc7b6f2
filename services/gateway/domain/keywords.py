"""Words by which somebody who writes to a number opts out, or in again. Only a message that says nothing else counts: "stop" does,
"stop by at nine" does not."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.events.values import Consent

Words = Mapping[str, Sequence[str]]
"""By language. A language says who chose them, not who may use them: people write in the one they like."""

STOP: Final[Words] = {
    "en": ["stop", "stop all", "unsubscribe", "opt out"],
    "es": ["baja", "dar de baja", "darme de baja", "parar", "no más mensajes"],
    "pt": ["parar", "pare", "sair da lista", "descadastrar", "cancelar inscrição"],
    "de": ["stopp", "abmelden", "abbestellen"],
    "fr": ["arrêt", "arrêter", "se désabonner", "désabonner", "désinscription"],
    "it": ["ferma", "disiscrivimi", "annulla iscrizione", "cancella iscrizione"],
    "hi": ["रोकें", "रोको", "बंद करें", "बंद करो"],
    "ar": ["توقف", "إيقاف", "أوقف", "إلغاء الاشتراك"],
}
START: Final[Words] = {
    "en": ["start", "unstop", "subscribe", "opt in"],
    "es": ["alta", "dar de alta", "darme de alta", "suscribir", "suscribirme"],
    "pt": ["inscrever", "assinar", "quero receber"],
    "de": ["anmelden", "abonnieren"],
    "fr": ["s'abonner", "abonner", "inscription"],
    "it": ["iscrivimi", "riprendi"],
    "hi": ["शुरू", "शुरू करें", "शुरू करो"],
    "ar": ["ابدأ", "اشترك", "اشتراك"],
}
LONGEST: Final = 60
"""Characters of a message that can be such a word; longer ones are not looked at."""


def folded(text: str) -> str:
    """The letters and digits of a text, without case and accents; no blanks, punctuation or emoji."""
    caseless = unicodedata.normalize("NFD", text).casefold()
    caseless = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", caseless).casefold())  # Unicode §3.13, D146
    letters = (c for c in caseless if not unicodedata.combining(c))
    return "".join(c for c in letters if unicodedata.category(c)[0] in "LNM" and unicodedata.category(c) != "Me")


@dataclass(frozen=True, slots=True)
class Keywords:
    """A tenant's words, folded."""

    stop: frozenset[str]
    start: frozenset[str]

    @classmethod
    def of(cls, stop: Words = STOP, start: Words = START) -> Keywords:
        return cls(_all(stop.values()), _all(start.values()))

    def consent(self, text: str) -> Consent | None:
        """What a message says; None where it is not one of the words. A word that is both means stop."""
        word = folded(text)
        if word in self.stop:
            return Consent.OPTED_OUT
        return Consent.OPTED_IN if word in self.start else None


def _all(languages: Iterable[Sequence[str]]) -> frozenset[str]:
    return frozenset(word for words in languages for text in words if (word := folded(text)))


def text_of(content: Mapping[str, Any]) -> str | None:
    """What an inbound message says, if it is short enough to be a keyword: its text, or the button that was pressed."""
    text = (
        _at(content, "text", "body") or _at(content, "button", "text") or _at(content, "interactive", "button_reply", "title")
    )
    return text if isinstance(text, str) and 0 < len(text) <= LONGEST else None


def _at(value: Any, *path: str) -> Any:
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value

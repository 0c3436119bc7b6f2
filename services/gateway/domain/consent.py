"""Whether somebody wants to be written to: what follows from all they have said, in whatever order it comes to be known.

Two questions are kept apart, the latest word on each: everything (`all`), and marketing only. An opt-out of everything holds until
an opt-in to everything; a later opt-in to everything ends an opt-out of marketing too. Of two words of one moment the opt-out
counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shared.events.values import Consent, ConsentScope

MOMENT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Word:
    """One opt-in or opt-out."""

    consent: Consent
    scope: ConsentScope
    at: datetime
    source: str


@dataclass(frozen=True, slots=True)
class Standing:
    """The latest word on each question."""

    general: Word | None = None
    marketing: Word | None = None

    @property
    def word(self) -> Word | None:
        """The one that counts; None: nobody knows."""
        general, marketing = self.general, self.marketing
        if marketing is None or (general is not None and general.consent is Consent.OPTED_OUT):
            return general
        if general is None or (marketing.consent is Consent.OPTED_OUT and marketing.at >= general.at):
            return marketing
        return general

    @property
    def consent(self) -> Consent:
        return Consent.UNKNOWN if self.word is None else self.word.consent

    @property
    def scope(self) -> ConsentScope:
        return ConsentScope.ALL if self.word is None else self.word.scope

    def heard(self, word: Word) -> Standing:
        """With one word more, old or new."""
        if word.scope is ConsentScope.ALL:
            return Standing(_later(self.general, word), self.marketing)
        return Standing(self.general, _later(self.marketing, word))

    def told_at(self, before: Standing) -> datetime:
        """The time to tell others, who keep the latest only, that this holds now instead of `before`. A word that comes late can
        change what holds, and must still be the latest they hear."""
        assert self.word is not None
        latest = max((word.at for word in (before.general, before.marketing) if word is not None), default=None)
        return self.word.at if latest is None or self.word.at > latest else latest + MOMENT


def _later(former: Word | None, word: Word) -> Word:
    if former is None or word.at > former.at:
        return word
    return word if word.at == former.at and (word.consent, former.consent) == (Consent.OPTED_OUT, Consent.OPTED_IN) else former


def without_time(standing: Standing, word: Word) -> bool:
    """Whether a word whose time its teller did not know says anything new. A list of yesterday's opt-ins does not undo today's
    opt-out; and said twice it is no second word."""
    if word.consent is Consent.OPTED_IN:
        return standing.consent is Consent.UNKNOWN
    if standing.consent is not Consent.OPTED_OUT:
        return True
    return standing.scope is ConsentScope.MARKETING and word.scope is ConsentScope.ALL

"""What a provider's error code means for the message that met it: a row of a provider's table of codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.sender.domain.outcome import Outcome, PauseNumber, PauseTemplate, Rejected, Retry, Scope
from shared.telemetry.redaction import scrub

LONGEST_DETAIL: Final = 500
LONGEST_WAIT_SECONDS: Final = 86_400.0
UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
TOO_MANY: Final = 429
SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class Ruling:
    """`meaning` is ours, not the provider's sentence. `seconds` is the wait that its documents name, None: back-off, or for a pair
    the limiter's own. `repair` tells the tenant what to do about a number that is paused."""

    outcome: type[Rejected | Retry | PauseNumber | PauseTemplate]
    meaning: str
    seconds: float | None = None
    scope: Scope = Scope.MESSAGE
    counted: bool = True
    repair: str = ""
    is_outage: bool = False
    """It says itself that it is ill: no fault of the message, however long it lasts."""

    def apply(self, code: str, said: str, *, after: float | None = None, sick: bool = False) -> Outcome:
        """The outcome, where the provider `said` so with its error and asked to come again `after` so many seconds.

        `sick`: it said so as its own error. A throttle is none, whatever its HTTP status: it may concern this number alone.
        """
        if self.outcome is Rejected:
            return Rejected(code, said)
        if self.outcome is PauseNumber:
            return PauseNumber(code, f"{self.repair} The provider says: {said}")
        if self.outcome is PauseTemplate:
            return PauseTemplate(code, after or self.seconds or 0.0)
        return Retry(code, after or self.seconds, self.counted, self.scope, sick and (self.counted or self.is_outage))


def rejected(meaning: str) -> Ruling:
    """It will never take this message."""
    return Ruling(Rejected, meaning)


def retried(meaning: str, seconds: float | None = None) -> Ruling:
    """Its own trouble: the same message again, so many times."""
    return Ruling(Retry, meaning, seconds)


def outage(meaning: str) -> Ruling:
    """It is ill and says so: the same message again until it is well, and its circuit breaker hears of it."""
    return Ruling(Retry, meaning, counted=False, is_outage=True)


def throttled(meaning: str, seconds: float | None, scope: Scope = Scope.NUMBER) -> Ruling:
    """Too fast, or not just now: says nothing about the message, which comes back uncounted."""
    return Ruling(Retry, meaning, seconds, scope, counted=False)


def paused(meaning: str, repair: str) -> Ruling:
    """Nothing can go from this number until somebody did what `repair` says."""
    return Ruling(PauseNumber, meaning, repair=repair)


def template_rests(meaning: str, seconds: float) -> Ruling:
    """Nothing of this template can go for so long; the number's other messages can."""
    return Ruling(PauseTemplate, meaning, seconds)


def by_status(status: int) -> Ruling:
    """For an error without a row. Its body says that the message was not taken, and only the HTTP status says why."""
    if status == TOO_MANY:
        return throttled("too many requests", 1.0)
    if status in (UNAUTHORIZED, FORBIDDEN):
        return paused("access denied", "The provider denies access to this number. Check its token and its account.")
    if status >= SERVER_ERROR:
        return retried("an error of the provider")
    return rejected("an error of the request")


def said(sentence: object) -> str:
    """The provider's sentence at a sensible length. It is kept and shown, so tokens and phone numbers that it repeats ("Malformed
    access token EAA…") are taken out."""
    return scrub(str(sentence or "refused by the provider"))[:LONGEST_DETAIL].replace("\0", "\ufffd")


def seconds_of(retry_after: str | None) -> float | None:
    """`Retry-After` in seconds, within a day; the date form is not used by any API of this kind."""
    if retry_after is None or not retry_after.strip().isdecimal():
        return None
    return min(float(retry_after), LONGEST_WAIT_SECONDS)

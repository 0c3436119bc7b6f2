"""Which limits a message must find room in, and how far each is used. All are asked together, for a whole batch at once.

Facts: WhatsApp Cloud API, throughput, pair rate limits, messaging limits, read 2026-11.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shared.events.catalogue import MessageReleased
from shared.events.values import Profile, Tier
from shared.ids import TenantId
from shared.limits.limiter import Ask, Limit, Line, UserLimit, Window, pseudonym
from shared.limits.rate import Rate

PACE_SHARE: Final = 0.975
BURST_SHARE: Final = 0.005
"""Of what the provider allows a number in a second: the even pace, and how many may leave at once after a rest. What is left, two
hundredths of a second, is for those that leave a little later than they should (`lines.LATE_SECONDS`): all together fill no window
of a second with more than is allowed, wherever it begins."""
PAIR_SECONDS: Final = 6.0
PAIR_BURST: Final = 44
"""Meta's is 45; one less, because a message may leave some seconds after it was granted."""
MINUTE: Final = 60.0
HOUR: Final = 3_600.0
LATE_SECONDS: Final = 0.25
"""How long after it was granted a message may leave, so far as the limits of a minute and an hour are concerned."""
PATIENCE_SECONDS: Final = 0.5
"""A message that comes back so late for its turn loses none of the rate: that much runs ahead of the even pace."""
HOUR_BURST_SHARE: Final = 0.02
"""Of an hour's calls, how many may be made at once."""

PAIR_CODE: Final = "limit.pair"
TIER_CODE: Final = "limit.tier"
HOUR_CODE: Final = "limit.calls_per_hour"
TENANT_CODE: Final = "limit.tenant"
GLOBAL_CODE: Final = "limit.global"
USERS_CODE: Final = "limit.unique_users"


@dataclass(frozen=True, slots=True, repr=False)
class LimitSettings:
    """The platform's own limits. `secret` names recipients in the store; `per_minute` are the tiers' on a number of the device
    profile, most urgent first; 0 messages per second means no limit."""

    secret: bytes
    per_minute: tuple[int, ...] = (200, 100, 60, 30)
    tenant_per_second: int = 0
    all_per_second: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class NumberLimits:
    """What is the same for all messages of a number. `of_tier` are the limits but the pair's, by tier."""

    line: Line
    of_tier: tuple[tuple[Limit, ...], ...]
    portfolio: tuple[str, int] | None
    secret: bytes

    def ask(self, event: MessageReleased) -> Ask:
        """What must have room for this message."""
        users = None
        if self.portfolio is not None and event.content.get("type") == "template":
            group, per_day = self.portfolio
            member = pseudonym(self.secret, group, event.to)
            users = UserLimit(group, per_day, member, self._window(event.to), USERS_CODE)
        return Ask(event.tier, (*self.of_tier[event.tier], self.pair(event.to)), users)

    def pair(self, recipient: str) -> Limit:
        """The limit between this number and one recipient, E.164 with the plus sign."""
        return Limit(self.line.group, pseudonym(self.secret, self.line.group, recipient), PAIR_RATE, PAIR_CODE, shared=False)

    def window(self, user: str, seconds: float) -> Window | None:
        """The customer service window that a message of the user opens, where it matters."""
        return None if self.portfolio is None else Window(self.portfolio[0], self._window(user), seconds)

    def _window(self, user: str) -> str:
        return pseudonym(self.secret, "window", self.line.group, user)


PAIR_RATE: Final = Rate(1 / PAIR_SECONDS, PAIR_BURST)


def limits_of(
    settings: LimitSettings,
    *,
    tenant_id: TenantId,
    phone_number_id: str,
    per_second: int,
    profile: Profile,
    calls_per_hour: int | None,
    portfolio_id: str | None,
    unique_users_per_day: int | None,
) -> NumberLimits:
    """The limits of a number's record."""
    group = f"pn:{phone_number_id}"
    of_all: list[Limit] = []
    if calls_per_hour is not None:
        of_all.append(Limit(group, "hour", _patient(calls_per_hour, HOUR, calls_per_hour * HOUR_BURST_SHARE), HOUR_CODE))
    if settings.tenant_per_second:
        of_all.append(Limit(f"tn:{tenant_id}", "pace", fair_share(settings.tenant_per_second), TENANT_CODE))
    if settings.all_per_second:
        of_all.append(Limit("all", "pace", fair_share(settings.all_per_second), GLOBAL_CODE))
    of_tier: list[tuple[Limit, ...]] = []
    for tier in Tier:
        if profile is Profile.DEVICE:
            rate = _patient(settings.per_minute[tier], MINUTE)
            of_tier.append((Limit(group, f"tier:{tier}", rate, TIER_CODE, shared=False), *of_all))
        else:
            of_tier.append(tuple(of_all))
    portfolio = None
    if unique_users_per_day is not None and portfolio_id is not None:
        portfolio = (f"pf:{portfolio_id}", unique_users_per_day)
    return NumberLimits(Line(group, pace(per_second)), tuple(of_tier), portfolio, settings.secret)


def pace(per_second: int) -> Rate:
    """An even pace for a limit of so many a second."""
    return Rate(per_second * PACE_SHARE, max(1.0, per_second * BURST_SHARE))


def fair_share(per_second: int) -> Rate:
    """For a limit of ours between tenants: exact on average, and patient with what comes back late; a second may hold half as much
    again after a rest."""
    return Rate(per_second, max(1.0, per_second * PATIENCE_SECONDS))


def _patient(limit: int, seconds: float, burst: float = 1.0) -> Rate:
    patience = 1 + PATIENCE_SECONDS * limit / seconds
    return Rate.within(limit, seconds, min(float(limit), max(patience, burst)), late_seconds=LATE_SECONDS)

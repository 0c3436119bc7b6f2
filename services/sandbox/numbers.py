"""The business numbers the sandbox knows, and who may speak for them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from services.sandbox.domain.errors import GraphError, bad_token, no_token, unknown_object
from services.sandbox.domain.faults import Faults, Latency, LatencyMs, Share, Spread
from services.sandbox.domain.rates import NumberRate, PairRates, WindowRate
from services.sandbox.domain.updates import Line

HIGH_THROUGHPUT: Final = 1000
"""Messages per second from which Meta calls the throughput level HIGH."""

GraphId = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}$")]
WebUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+(/\S*)?$", max_length=500)]
DisplayNumber = Annotated[str, StringConstraints(pattern=r"^\+?[0-9][0-9 ()-]{3,24}$")]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=500)]
LimitKind = Literal["bucket", "window"]
State = Literal["connected", "throttled", "banned", "unregistered", "flagged", "upgrading", "token_dead"]

STATE_REFUSALS: Final[Mapping[str, int]] = MappingProxyType(
    {"throttled": 130429, "banned": 131031, "unregistered": 133010, "flagged": 131048, "upgrading": 131057, "token_dead": 190}
)
"""The code that answers every send in a state."""

_SECRETS: Final = {"access_token", "app_secret", "verify_token"}


class NumberSpec(BaseModel):
    """What makes a number; the secrets are never shown again."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    access_token: Secret
    app_secret: Secret
    verify_token: Secret
    webhook_url: WebUrl
    waba_id: GraphId
    display_phone_number: DisplayNumber
    verified_name: Annotated[str, Field(max_length=128)] = "Sandbox"
    messages_per_second: Annotated[int, Field(ge=1, le=100_000)] = 80
    portfolio_id: GraphId | None = None
    """The business portfolio, whose users are counted together; none: the account is one of its own."""
    unique_users_per_day: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Users whom the portfolio may reach outside the customer service window in any 24 hours; none: unlimited."""
    quality_rating: Literal["GREEN", "YELLOW", "RED", "UNKNOWN"] = "GREEN"
    messaging_limit_tier: Annotated[str, StringConstraints(pattern=r"^TIER_[A-Z0-9]{1,20}$")] = "TIER_UNLIMITED"
    state: State = "connected"
    state_seconds: Annotated[float, Field(gt=0, le=86_400)] | None = None
    """After so long the number is `connected` again; none: never by itself."""
    faults: Faults | None = None
    """Instead of the behaviour's."""
    latency_ms: LatencyMs | None = None
    latency_spread: Spread | None = None
    spike_share: Share | None = None
    spike_ms: LatencyMs | None = None
    """Each instead of the behaviour's."""

    def told(self) -> dict[str, object]:
        """All of it, secrets included, as it would be given again."""
        secrets = {name: getattr(self, name).get_secret_value() for name in _SECRETS}
        return {**self.model_dump(exclude=_SECRETS), **secrets}


class Number:
    """One number, its limits and the `Authorization` values that open it. `now` is monotonic seconds."""

    __slots__ = (
        "account_override",
        "app_secret",
        "authorizations",
        "blocked",
        "callback_url",
        "digits",
        "is_slow",
        "is_subscribed",
        "line",
        "override",
        "pairs",
        "portfolio_id",
        "rate",
        "spec",
        "state_ends_at",
        "state_refusal",
    )

    def __init__(self, phone_number_id: str, spec: NumberSpec, limit: LimitKind, now: float) -> None:
        self.pairs = PairRates()
        self.rate = _rate(spec, limit)
        self.override: str | None = None
        self.account_override: str | None = None
        self.is_subscribed = True
        self.blocked: set[str] = set()
        """Users whom the business blocked."""
        self.take(phone_number_id, spec, now)

    def take(self, phone_number_id: str, spec: NumberSpec, now: float) -> None:
        """Go by `spec` from now on; limits go on where they stand."""
        token = spec.access_token.get_secret_value()
        self.spec = spec
        self.line = Line(phone_number_id, spec.waba_id, spec.display_phone_number)
        self.digits = "".join(filter(str.isdigit, spec.display_phone_number))
        self.authorizations = frozenset((f"Bearer {token}".encode(), f"OAuth {token}".encode()))
        self.app_secret = spec.app_secret.get_secret_value().encode()
        self._direct()
        self.is_slow = bool(spec.latency_ms or spec.spike_share)
        self.portfolio_id = spec.portfolio_id or spec.waba_id
        self.state_refusal = STATE_REFUSALS.get(spec.state)
        self.state_ends_at = float("inf") if spec.state_seconds is None else now + spec.state_seconds

    def redirect(self, **targets: Any) -> None:
        """Change any of `override`, `account_override` and `is_subscribed`."""
        self.override = targets.get("override", self.override)
        self.account_override = targets.get("account_override", self.account_override)
        self.is_subscribed = targets.get("is_subscribed", self.is_subscribed)
        self._direct()

    def _direct(self) -> None:
        """Where its webhooks go: the number's own URL, else the account's, else the app's; none without a subscription."""
        self.callback_url = (self.override or self.account_override or self.spec.webhook_url) if self.is_subscribed else None

    def limit_by(self, limit: LimitKind) -> None:
        """Enforce the rate this way, from a fresh start."""
        self.rate = _rate(self.spec, limit)

    def refusal(self, now: float) -> int | None:
        """The code that its state answers every send with; None where it sends."""
        if self.state_refusal is not None and now >= self.state_ends_at:
            self.spec = self.spec.model_copy(update={"state": "connected", "state_seconds": None})
            self.state_refusal = None
        return self.state_refusal

    def latency(self, otherwise: Latency) -> Latency:
        """How long its answers take, where it says so, else as all others'."""
        spec = self.spec
        return Latency(
            otherwise.median_ms if spec.latency_ms is None else spec.latency_ms,
            otherwise.spread if spec.latency_spread is None else spec.latency_spread,
            otherwise.spike_share if spec.spike_share is None else spec.spike_share,
            otherwise.spike_ms if spec.spike_ms is None else spec.spike_ms,
        )

    def public(self) -> dict[str, object]:
        """All but the secrets."""
        return {
            "phone_number_id": self.line.phone_number_id,
            **self.spec.model_dump(exclude=_SECRETS),
        }


class Numbers:
    """The registry: by phone number id, at most `limit` of them, each limited by `limit_kind`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._numbers: dict[str, Number] = {}
        self.limit_kind: LimitKind = "bucket"

    def __len__(self) -> int:
        return len(self._numbers)

    def put(self, phone_number_id: str, spec: NumberSpec, now: float) -> Number:
        """Add or replace a number; its limits start fresh. Raises `GraphError` beyond the limit."""
        if phone_number_id not in self._numbers and len(self._numbers) >= self._limit:
            raise GraphError(100, f"The sandbox holds at most {self._limit} numbers.")
        number = Number(phone_number_id, spec, self.limit_kind, now)
        self._numbers[phone_number_id] = number
        return number

    def change(self, number: Number, spec: NumberSpec, now: float) -> None:
        """Let a number go by another spec. Its limits go on, unless its rate is another."""
        is_new_rate = spec.messages_per_second != number.spec.messages_per_second
        number.take(number.line.phone_number_id, spec, now)
        if is_new_rate:
            number.limit_by(self.limit_kind)

    def remove(self, phone_number_id: str) -> bool:
        return self._numbers.pop(phone_number_id, None) is not None

    def limit_by(self, kind: LimitKind) -> None:
        """Enforce rates this way from now on."""
        if kind != self.limit_kind:
            self.limit_kind = kind
            for number in self._numbers.values():
                number.limit_by(kind)

    def forget_use(self) -> None:
        """All limits start fresh."""
        for number in self._numbers.values():
            number.pairs = PairRates()
            number.limit_by(self.limit_kind)

    def find(self, phone_number_id: str) -> Number | None:
        return self._numbers.get(phone_number_id)

    def all(self) -> list[Number]:
        return list(self._numbers.values())

    def authorize(self, phone_number_id: str, header: str | None, query_token: str | None, method: str) -> Number:
        """The number, if one of the two credentials opens it.

        Raises `GraphError`: 104 without a credential, 190 where no number knows it, 100/33 where there is no such number, 10
        where the credential is another number's. Some clients send a header and a token in the query at once: either will do.
        """
        offered = {value.encode() for value in (header, query_token and f"Bearer {query_token}") if value}
        if not offered:
            raise no_token()
        number = self._numbers.get(phone_number_id)
        if number is not None and not offered.isdisjoint(number.authorizations):
            return number
        if not any(not offered.isdisjoint(other.authorizations) for other in self._numbers.values()):
            raise bad_token()
        if number is None:
            raise unknown_object(phone_number_id, method)
        raise GraphError(10, f"The access token has no permission for the phone number {phone_number_id}.")

    def authorize_account(self, waba_id: str, header: str | None, query_token: str | None, method: str) -> None:
        """Whether one of the two credentials is that of a number of the account. Raises `GraphError` as `authorize`."""
        own = [number.line.phone_number_id for number in self._numbers.values() if number.line.waba_id == waba_id]
        refusal: GraphError | None = None
        for phone_number_id in own or [waba_id]:
            try:
                self.authorize(phone_number_id, header, query_token, method)
                return
            except GraphError as error:
                refusal = error
        assert refusal is not None
        raise refusal


def _rate(spec: NumberSpec, kind: LimitKind) -> NumberRate | WindowRate:
    return (WindowRate if kind == "window" else NumberRate)(spec.messages_per_second)

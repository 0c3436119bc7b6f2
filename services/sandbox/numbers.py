"""The business numbers the sandbox knows, and who may speak for them."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from services.sandbox.domain.errors import GraphError, bad_token, no_token, unknown_object
from services.sandbox.domain.rates import NumberRate, PairRates
from services.sandbox.domain.updates import Line

HIGH_THROUGHPUT: Final = 1000
"""Messages per second from which Meta calls the throughput level HIGH."""

GraphId = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}$")]
WebUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+(/\S*)?$", max_length=500)]
DisplayNumber = Annotated[str, StringConstraints(pattern=r"^\+?[0-9][0-9 ()-]{3,24}$")]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=500)]


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


class Number:
    """One number, its buckets and the `Authorization` values that open it."""

    __slots__ = ("app_secret", "authorizations", "digits", "line", "pairs", "rate", "spec")

    def __init__(self, phone_number_id: str, spec: NumberSpec) -> None:
        token = spec.access_token.get_secret_value()
        self.spec = spec
        self.line = Line(phone_number_id, spec.waba_id, spec.display_phone_number)
        self.digits = "".join(filter(str.isdigit, spec.display_phone_number))
        self.authorizations = frozenset((f"Bearer {token}", f"OAuth {token}"))
        self.app_secret = spec.app_secret.get_secret_value().encode()
        self.rate = NumberRate(spec.messages_per_second)
        self.pairs = PairRates()

    def public(self) -> dict[str, object]:
        """All but the secrets."""
        return {
            "phone_number_id": self.line.phone_number_id,
            **self.spec.model_dump(exclude={"access_token", "app_secret", "verify_token"}),
        }


class Numbers:
    """The registry: by phone number id, at most `limit` of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._numbers: dict[str, Number] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def put(self, phone_number_id: str, spec: NumberSpec) -> Number:
        """Add or replace a number; its buckets start full. Raises `GraphError` beyond the limit."""
        if phone_number_id not in self._numbers and len(self._numbers) >= self._limit:
            raise GraphError(100, f"The sandbox holds at most {self._limit} numbers.")
        number = Number(phone_number_id, spec)
        self._numbers[phone_number_id] = number
        return number

    def find(self, phone_number_id: str) -> Number | None:
        return self._numbers.get(phone_number_id)

    def all(self) -> list[Number]:
        return list(self._numbers.values())

    def authorize(self, phone_number_id: str, header: str | None, query_token: str | None, method: str) -> Number:
        """The number, if one of the two credentials opens it.

        Raises `GraphError`: 104 without a credential, 190 where no number knows it, 100/33 where there is no such number, 10
        where the credential is another number's. Some clients send a header and a token in the query at once: either will do.
        """
        offered = {value for value in (header, query_token and f"Bearer {query_token}") if value}
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

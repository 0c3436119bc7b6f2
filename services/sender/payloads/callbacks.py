"""The bodies of `/api/callbacks`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, AwareDatetime, Field, SecretStr, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from yarl import URL

from services.sender.domain.callback import (
    ALL,
    TEST,
    CallbackFormat,
    CallbackState,
    DeliveryState,
    fits,
    is_standard_secret,
)
from shared.events.values import UPDATE_TYPES
from shared.http.bodies import Body
from shared.http.codes import Code
from shared.http.requests import Moment
from shared.personal import Model, Personal

CALLBACKS_OF_A_TENANT: Final = 20
DAY_SECONDS: Final = 86_400
REPLAY_LIMIT: Final = 50_000
"""Deliveries that one request replays at most; it says how to go on."""

NumberId = Annotated[str, StringConstraints(pattern=r"^num_[0-9a-v]{26}$")]
_TOLD: Final = (*UPDATE_TYPES, TEST)
_GRAPH_ONLY: Final = "provider."
"""And the webhook's field, which may be any."""


def _known(pattern: str) -> str:
    """A pattern that some update has a type for."""
    if not pattern.startswith(_GRAPH_ONLY) and not any(fits(pattern, told) for told in _TOLD):
        raise PydanticCustomError(Code.FIELD_CHOICE.value, "is no type of update, and no pattern of one")
    return pattern


Pattern = Annotated[
    str,
    StringConstraints(pattern=r"^(\*|[a-z][a-z0-9_]*(\.[a-z0-9_]+)*(\.\*)?)$", max_length=100),
    AfterValidator(_known),
]
"""Of update types: `message.read`, `message.*`, `*`."""
UpdateType = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$", max_length=100), AfterValidator(_known)
]


def _postable(text: str) -> str:
    """A URL that can be posted to, whatever is there; whether its address may be reached is asked of the network."""
    try:
        url = URL(text)
        fits = url.scheme in {"https", "http"} and bool(url.host) and url.user is None and url.password is None
    except ValueError:
        fits = False
    if not fits or not text.isascii() or not text.isprintable() or " " in text or "#" in text:
        raise PydanticCustomError(
            Code.FIELD_FORMAT.value, "must be an https URL in ASCII, without user, password, spaces or fragment"
        )
    return text


CallbackUrl = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_postable)]
Secret = Annotated[SecretStr, Field(min_length=16, max_length=500)]
VerifyToken = Annotated[SecretStr, Field(min_length=1, max_length=500)]
Events = Annotated[list[Pattern], Field(min_length=1, max_length=50)]
NumberIds = Annotated[list[NumberId], Field(min_length=1, max_length=1_000)]
_EVENTS: Final = (
    "Types of updates, or patterns such as `message.*`, or `*` for all. There are "
    f"{', '.join(f'`{told}`' for told in UPDATE_TYPES)}; "
    f"and `{_GRAPH_ONLY}` with a webhook's field, for what only Meta's format has words for."
)
_NUMBERS: Final = "Only updates of these numbers, and none that are of no number, such as a template's. Left out: all."
_SIGNING: Final = (
    "Signs what is posted. In Meta's format the app secret that your server knows (`X-Hub-Signature-256`); in the standard one "
    "`whsec_` and 24 to 64 bytes in base64. Left out: one is made."
)


def secret_fault(form: CallbackFormat, secret: SecretStr | None) -> bool:
    """True for a secret that the format does not take."""
    return form is CallbackFormat.STANDARD and secret is not None and not is_standard_secret(secret.get_secret_value())


class CreateCallback(Body):
    """Where to tell what happens."""

    url: CallbackUrl = Field(examples=["https://example.com/whatsapp/webhook"])
    format: CallbackFormat = Field(
        CallbackFormat.STANDARD,
        description="`meta`: as the Cloud API's own webhooks, one update a post, so that existing servers work; `standard`: in "
        "this API's shapes, by the Standard Webhooks specification.",
    )
    name: str | None = Field(None, min_length=1, max_length=200)
    events: Events = Field([ALL], description=_EVENTS)
    number_ids: NumberIds | None = Field(None, description=_NUMBERS)
    secret: Secret | None = Field(None, description=_SIGNING)
    verify_token: VerifyToken | None = Field(
        None,
        validate_default=True,
        description="Needed in Meta's format: the URL is asked for a challenge with it, as Meta does, and must answer.",
    )
    enabled: bool = True

    @field_validator("secret")
    @classmethod
    def _is_of_the_format(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        form = info.data.get("format")  # none where that is wrong itself
        if form is not None and secret_fault(form, secret):
            raise PydanticCustomError("secret.format", "must be `whsec_` and 24 to 64 bytes in base64 for the standard format")
        return secret

    @field_validator("verify_token")
    @classmethod
    def _is_for_the_format(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        form = info.data.get("format")
        if form is CallbackFormat.META and token is None:
            raise PydanticCustomError("verify_token.missing", "is required in Meta's format")
        if form is CallbackFormat.STANDARD and token is not None:
            raise PydanticCustomError("verify_token.surplus", "belongs to Meta's format only")
        return token


class ChangeCallback(Body):
    """What is left out stays as it is; `name` and `number_ids` go away with null. In Meta's format a new URL or verify token means
    a new challenge. The format of a callback does not change: make another one."""

    url: CallbackUrl | None = None
    name: str | None = Field(None, min_length=1, max_length=200)
    events: Events | None = Field(None, description=_EVENTS)
    number_ids: NumberIds | None = Field(None, description=_NUMBERS)
    verify_token: VerifyToken | None = None
    enabled: bool | None = Field(
        None, description="False: told nothing more, and what waits for it fails. True: told from now on."
    )


class RotateSecret(Body):
    """A new secret. The former one stays valid beside it for a while: in the standard format both sign; in Meta's the new one does,
    and where it is refused (401, 403) the former one at once."""

    secret: Secret | None = Field(None, description=_SIGNING)
    previous_secret_for: int = Field(DAY_SECONDS, ge=0, le=30 * DAY_SECONDS, description="Seconds; 0 drops it at once.")


class CallbackView(Model):
    """A callback as it is."""

    id: str
    url: str
    format: CallbackFormat
    name: str | None = None
    events: list[str]
    number_ids: list[str] | None = None
    state: CallbackState
    reason: str | None = Field(
        None,
        description="Why it is disabled: `tenant`, `callback.gone` (it answered 410) or `callback.failing` (for five days).",
    )
    disabled_at: AwareDatetime | None = None
    failing_since: AwareDatetime | None = Field(None, description="Nothing has succeeded since then.")
    rests_until: AwareDatetime | None = Field(
        None,
        description="Nothing of what is told goes there before: it failed again and again, so that its circuit breaker lets one "
        "post a minute through until one succeeds, or it asked for quiet with `Retry-After`. Left out where it does not rest.",
    )
    previous_secret_until: AwareDatetime | None = None
    created_at: AwareDatetime
    updated_at: AwareDatetime


class CallbackMade(CallbackView):
    """With the secret, which is shown in this answer and never again."""

    secret: Personal[str]


class CallbackPage(Model):
    data: list[CallbackView]
    next_cursor: str | None = None


class CallbackQuery(Body):
    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = Field(None, max_length=200, description="From `next_cursor` of the page before.")


class Try(Model):
    """An attempt to deliver."""

    at: AwareDatetime
    status: int | None = Field(None, description="The HTTP status of the answer.")
    error: str | None = Field(None, description="Why it failed.", examples=["answer.refused", "timed_out", "address.forbidden"])
    milliseconds: int
    answer: Personal[str] | None = Field(None, description="How a refusal begins.")


class TestResult(Try):
    """How a test went, which is made once."""

    delivery_id: str
    delivered: bool


class DeliveryView(Model):
    """One update, as it was told to one callback."""

    id: str
    update_id: str = Field(description="The same in each attempt and replay; in the standard format the header `webhook-id`.")
    type: str
    number_id: str | None = None
    occurred_at: AwareDatetime
    state: DeliveryState
    code: str | None = Field(None, description="Why it has failed for good.", examples=["retries.exhausted"])
    failures: int = Field(description="Attempts that failed, since it was first told or last replayed.")
    next_attempt_at: AwareDatetime | None = Field(
        None,
        description="Not before; later where its callback goes on failing, or much waits for it. While it is being posted: when it "
        "comes again should nothing be heard of that.",
    )
    last: Try | None = Field(None, description="The latest attempt.")
    created_at: AwareDatetime
    ended_at: AwareDatetime | None = None


class DeliveryDetail(DeliveryView):
    """With all attempts, the latest last, at most 30, and what is posted."""

    tries: list[Try]
    body: Personal[str]


class DeliveryPage(Model):
    data: list[DeliveryView]
    next_cursor: str | None = None


class DeliveryQuery(Body):
    state: DeliveryState | None = None
    type: UpdateType | None = Field(None, description="A whole type, no pattern.")
    since: Moment | None = Field(None, description="Told at this moment or later.")
    until: Moment | None = Field(None, description="Told before this moment.")
    limit: int = Field(50, ge=1, le=500)
    cursor: str | None = Field(None, max_length=200, description="From `next_cursor` of the page before.")


class Replay(Body):
    """Which deliveries to make again. They are kept for 7 days when delivered, for 30 when failed."""

    since: Moment = Field(description="Told at this moment or later.")
    until: Moment | None = Field(None, description="Told before this moment. Left out: now.")
    states: list[Literal["delivered", "failed"]] = Field(["failed"], min_length=1, max_length=2)
    types: list[Pattern] | None = Field(
        None, min_length=1, max_length=50, description="Of these types, or of those that these patterns fit. Left out: of all."
    )
    cursor: str | None = Field(None, max_length=200, description="To go on where an answer gave `next_cursor`.")

    @field_validator("until")
    @classmethod
    def _is_after_since(cls, until: datetime | None, info: ValidationInfo) -> datetime | None:
        since = info.data.get("since")
        if until is not None and since is not None and until < since:
            raise PydanticCustomError(Code.FIELD_OUT_OF_RANGE.value, "must not be before `since`")
        return until


class Replayed(Model):
    replayed: int
    next_cursor: str | None = Field(None, description="There may be more: ask again with it, and all else as it was.")

"""The bodies of `/api/numbers`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field, HttpUrl, SecretStr, StringConstraints
from pydantic_core import PydanticCustomError

from services.gateway.domain.origins import is_bare
from shared.events.values import Profile, Provider, WindowPolicy
from shared.http.bodies import Body
from shared.personal import Model

ProviderId = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,32}$")]
AccountSid = Annotated[str, StringConstraints(pattern=r"^AC[0-9a-f]{32}$")]
PortfolioId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
PerSecond = Annotated[int, Field(ge=1, le=1_000)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]


def _visible(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise PydanticCustomError("field.not_visible_ascii", "must hold visible ASCII characters only")
    return secret


def _bare(url: HttpUrl) -> HttpUrl:
    if not is_bare(url):
        raise PydanticCustomError("field.format", "must have no user, password, query or fragment")
    return url


ProviderUrl = Annotated[HttpUrl, AfterValidator(_bare)]
"""Where the provider's API is. Its origin must be one that the operator allows, which the settings know."""

HeaderSecret = Annotated[SecretStr, AfterValidator(_visible)]
"""A secret that travels in a header; a line break copied along with a token would fail every call."""


class ConnectNumber(Body):
    """A business number. Secrets are sealed at rest and never shown again. With the Cloud API `phone_number_id`, `waba_id`,
    `app_secret` and `verify_token` are needed; with Twilio `account_id`, and the access token is the account's auth token."""

    provider: Provider = Field(Provider.CLOUD_API, description="Whose API the number's messages go through.")
    phone_number_id: ProviderId | None = Field(
        None,
        examples=["106540352242922"],
        description="The Cloud API's id; with Twilio the number's digits, which is the default.",
    )
    waba_id: ProviderId | None = Field(None, examples=["102290129340398"], description="The Cloud API's account.")
    account_id: AccountSid | None = Field(None, description="Twilio's account (`AC…`).")
    display_number: str = Field(max_length=40, examples=["+15550783881"])
    access_token: HeaderSecret = Field(min_length=1, max_length=2_000)
    app_secret: SecretStr | None = Field(None, min_length=1, max_length=500, description="Signs the Cloud API's webhooks.")
    verify_token: SecretStr | None = Field(None, min_length=1, max_length=500, description="Opens the Cloud API's handshake.")
    provider_url: ProviderUrl | None = Field(None, description="Where the provider's API is, if not at its usual place.")
    messages_per_second: PerSecond = 80
    profile: Profile = Field(
        Profile.CLOUD,
        description="How priorities share the number: `cloud` by reserved shares of its rate, `device` by a limit per minute each.",
    )
    calls_per_hour: Count | None = Field(None, description="Calls of the provider's API an hour at most.")
    portfolio_id: PortfolioId | None = Field(None, description="Numbers of one portfolio share `unique_users_per_day`.")
    unique_users_per_day: Count | None = Field(
        None, description="The provider's messaging limit: users written to within 24 hours who have not written first."
    )
    window_policy: WindowPolicy = Field(
        WindowPolicy.ENFORCE,
        description="What becomes of free-form content for somebody who has not written within 24 hours: `enforce` refuses it "
        "before the provider would, once the number has been connected for 24 hours; `ignore` leaves it to the provider.",
    )


class ChangeNumber(Body):
    """What is left out stays as it is. `calls_per_hour`, `portfolio_id` and `unique_users_per_day` go away with null."""

    display_number: str | None = Field(None, max_length=40)
    access_token: HeaderSecret | None = Field(
        None, min_length=1, max_length=2_000, description="A new one ends a pause that the provider has caused."
    )
    app_secret: SecretStr | None = Field(
        None, min_length=1, max_length=500, description="The former one goes on to be valid for `previous_secret_for` seconds."
    )
    previous_secret_for: int | None = Field(
        None,
        ge=0,
        le=2_592_000,
        description="How long the app secret before the present one is valid too, in seconds from now; 0 drops it at once. "
        "A day where `app_secret` comes without it. It can come alone.",
    )
    verify_token: SecretStr | None = Field(None, min_length=1, max_length=500)
    provider_url: ProviderUrl | None = Field(None, description="A new place needs `access_token` too.")
    messages_per_second: PerSecond | None = None
    profile: Profile | None = None
    calls_per_hour: Count | None = None
    portfolio_id: PortfolioId | None = None
    unique_users_per_day: Count | None = None
    window_policy: WindowPolicy | None = None


class PauseNumber(Body):
    """Why; for those who find the number paused."""

    reason: str | None = Field(None, min_length=1, max_length=500, examples=["Complaints are being looked into."])


class Pause(Model):
    """Why nothing is sent from a number. `number.paused`: its tenant wants it so; `operator.paused`: who runs the platform does;
    every other code is the provider's."""

    code: str
    detail: str | None = None
    at: AwareDatetime


class Health(Model):
    """What WhatsApp's webhooks have said of a number, in its own words; null where they have not said it."""

    quality: str | None = Field(None, description="`red` while WhatsApp has flagged the number for its low quality.")
    messaging_limit: str | None = Field(None, examples=["TIER_2K"], description="Users written to first, in 24 hours.")
    throughput: str | None = Field(None, description="`high`: up to 1,000 messages a second.")
    verified_name: str | None = Field(None, description="What people see, once it is approved.")
    name_status: str | None = Field(None, examples=["approved"], description="What became of the name last asked for.")
    standing: str | None = Field(
        None,
        description="`disabled`, `deleted`, `restricted`: the account cannot send, so the number is paused; `good`: it can.",
    )
    told_at: AwareDatetime = Field(description="When the latest of these was said.")


class NumberStatus(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"


class NumberView(Model):
    id: str
    provider: Provider
    phone_number_id: str
    waba_id: str | None = None
    account_id: str | None = None
    display_number: str
    provider_url: str
    callback_url: str | None = Field(None, description="Where Twilio reports; it is told with each message.")
    messages_per_second: int
    profile: Profile
    calls_per_hour: int | None = None
    portfolio_id: str | None = None
    unique_users_per_day: int | None = None
    window_policy: WindowPolicy
    previous_app_secret_until: AwareDatetime | None = Field(
        None, description="Until then webhooks may be signed with the former app secret too; null: with the present one only."
    )
    status: NumberStatus
    paused: Pause | None = None
    health: Health | None = Field(None, description="Null: WhatsApp's webhooks have said nothing of the number yet.")
    created_at: AwareDatetime


class NumberPage(Model):
    data: list[NumberView]
    next_cursor: str | None = None

"""Settings of the sandbox, `CHASQUI_SANDBOX__…`. The number they describe exists from the start; the control API adds more."""

from __future__ import annotations

from pydantic import Field, SecretStr

from services.sandbox.domain.behaviour import Behaviour
from services.sandbox.numbers import DisplayNumber, GraphId, NumberSpec, Secret, WebUrl
from shared.config import Group, ServiceSettings


class SandboxSettings(Group):
    host: str = Field("127.0.0.1", description="Address the sandbox listens on; its control API asks for no key.")
    port: int = Field(8090, ge=0, le=65535, description="Port the sandbox listens on; 0 picks a free one.")

    phone_number_id: GraphId = Field("106540352242922", description="Id of the first number.")
    waba_id: GraphId = Field("102290129340398", description="Account (WABA) of the first number.")
    display_phone_number: DisplayNumber = Field("15550783881", description="Phone number of the first number.")
    access_token: Secret = Field(SecretStr("sandbox-access-token"), description="Token that may send from it.")
    app_secret: Secret = Field(SecretStr("sandbox-app-secret"), description="Signs its webhooks.")
    verify_token: Secret = Field(SecretStr("sandbox-verify-token"), description="Shown in the callback handshake.")
    webhook_url: WebUrl = Field("http://127.0.0.1:8080/api/webhooks/whatsapp", description="Where its webhooks go.")
    messages_per_second: int = Field(1000, ge=1, le=100_000, description="Its throughput, both directions counted.")

    answers: bool = Field(default=True, description="Recipients answer texts.")
    suffixes: bool = Field(default=True, description="The last four digits of a recipient +1 999 … decide its conduct.")
    pair_limit: bool = Field(default=True, description="Enforce the limit between a number and one recipient.")
    status_delay_ms: int = Field(40, ge=0, le=600_000, description="Time to the first status, and from each to the next.")
    reply_delay_ms: int = Field(300, ge=0, le=600_000, description="Time from the last status to the answer.")
    seed: int | None = Field(None, description="Start of all chance; none draws from the system.")

    webhook_concurrency: int = Field(4, ge=1, le=100, description="POSTs in flight to one callback URL; 1 keeps the order.")
    webhook_retry_seconds: float = Field(3600, ge=0, le=604_800, description="How long a webhook is tried again.")
    webhook_backlog: int = Field(500_000, ge=1, le=10_000_000, description="Updates that may wait; beyond, they are dropped.")
    ledger_limit: int = Field(2_000_000, ge=0, le=50_000_000, description="Records kept, about 250 bytes each.")
    request_log: int = Field(5000, ge=1, le=1_000_000, description="Last requests that the control API can tell.")
    media_bytes: int = Field(
        512 * 1024 * 1024, ge=1, le=64 * 1024**3, description="Bytes of all files together; beyond, the oldest are forgotten."
    )
    numbers_limit: int = Field(1000, ge=1, le=100_000, description="Numbers that may exist.")

    def behaviour(self) -> Behaviour:
        """What a behaviour that nobody changed is."""
        return Behaviour(
            answers=self.answers,
            suffixes=self.suffixes,
            pair_limit=self.pair_limit,
            status_delay_ms=self.status_delay_ms,
            reply_delay_ms=self.reply_delay_ms,
            seed=self.seed,
        )

    def first_number(self) -> NumberSpec:
        return NumberSpec(
            access_token=self.access_token,
            app_secret=self.app_secret,
            verify_token=self.verify_token,
            webhook_url=self.webhook_url,
            waba_id=self.waba_id,
            display_phone_number=self.display_phone_number,
            messages_per_second=self.messages_per_second,
        )


class Settings(ServiceSettings):
    sandbox: SandboxSettings = Field(default_factory=SandboxSettings)

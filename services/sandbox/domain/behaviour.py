"""How the sandbox behaves as a whole: what the control API reads and replaces while it runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from services.sandbox.domain.conduct import CONDUCTS, READS_AND_REPLIES, SCRIPTED_PREFIX, SUFFIXES, Conduct
from services.sandbox.domain.errors import KINDS
from services.sandbox.domain.faults import Faults, LatencyMs, Share, Spread, WebhookFaults

Digits = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}$")]


class Behaviour(BaseModel):
    """All switches of the simulation. Frozen: a change is a new value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answers: bool = True
    """Recipients that answer do so; off silences all of them."""
    suffixes: bool = True
    """The last four digits of a scripted number (+1 999 …) decide its conduct (see the README's table)."""
    default_conduct: str = READS_AND_REPLIES.name
    recipients: Annotated[dict[Digits, str], Field(max_length=10_000)] = Field(default_factory=dict)
    """Conduct by recipient (digits), before suffix and default."""
    status_delay_ms: Annotated[int, Field(ge=0, le=600_000)] = 40
    """Between acceptance and the first status, and from each status to the next."""
    reply_delay_ms: Annotated[int, Field(ge=0, le=600_000)] = 300
    """From the last status to the recipient's answer."""
    latency_ms: LatencyMs = 0.0
    """Median wait before an accepted message is answered; one longer than `status_delay_ms` lets the statuses overtake."""
    latency_spread: Spread = 0.0
    """Sigma of the log-normal distribution around it; 0.5 puts the p99 at 3.2 medians, 1.0 at 10."""
    spike_share: Share = 0.0
    """Share of accepted messages that wait `spike_ms` longer."""
    spike_ms: LatencyMs = 0.0
    hang_seconds: Annotated[float, Field(gt=0, le=600)] = 35.0
    drip_seconds: Annotated[float, Field(gt=0, le=600)] = 10.0
    """How long a slow body takes."""
    number_limit: Literal["bucket", "window"] = "bucket"
    """`bucket`: after a rest a second's worth may come at once. `window`: no more than the rate in any rolling second."""
    pair_limit: bool = True
    """Enforce 45 messages in a burst and one per 6 s between a number and a recipient."""
    portfolio_refusal: int | None = None
    """Code that refuses users beyond a portfolio's limit; none: they are accepted and counted (Meta documents no send error)."""
    enforce_window: bool = False
    """What is no template fails with 131047 unless the user wrote to the number within 24 hours."""
    throttle_status: Literal[400, 403, 429] = 400
    """HTTP status of the codes that mean "too many"."""
    retry_after_seconds: Annotated[int, Field(ge=0, le=3600)] = 0
    """`Retry-After` of those; 0 sends none, as Meta."""
    strict_templates: bool = False
    """A message of a template that the sandbox does not know is refused with 132001."""
    templates_approved: bool = True
    """A template that is created or edited is reviewed at once; off: it is PENDING until the control API says otherwise."""
    review_seconds: Annotated[float, Field(ge=0, le=86_400)] | None = None
    """A template that is created or edited is PENDING for so long; none: as `templates_approved` says."""
    refuse_edge_variables: bool = False
    """A template whose body begins or ends with a variable is not created (subcode 2388299)."""
    user_ids: bool = False
    """Webhooks name the business-scoped user ids of those who have a phone number, too."""
    webhook_retries: Literal["quick", "meta"] = "quick"
    """`quick`: after 0.2 s and ever longer, up to 10 s. `meta`: at once and ever later, for seven days."""
    any_document: bool = False
    """An upload of a type that Meta does not list is taken as a document."""
    strict_media: bool = True
    """A message with a media id that was not uploaded is refused with 100; off: it is sent."""
    media_url_seconds: Annotated[float, Field(ge=0, le=86_400)] = 300.0
    """How long an address of a file is good."""
    management_calls_per_hour: Annotated[int, Field(ge=1, le=1_000_000)] = 5000
    """Calls of an account's own edges; beyond: 80007."""
    time_scale: Annotated[float, Field(gt=0, le=10_000_000)] = 1.0
    """How many times faster than Meta's its long times pass: webhook retries (`meta`), media ids and addresses, template edits,
    registrations."""
    faults: Faults = Faults()
    webhooks: WebhookFaults = WebhookFaults()
    seed: int | None = None
    """Start of all chance but ids; none draws from the system."""

    @field_validator("default_conduct")
    @classmethod
    def _is_conduct(cls, name: str) -> str:
        if name not in CONDUCTS:
            raise ValueError(f"no such conduct; there are {', '.join(CONDUCTS)}")
        return name

    @field_validator("portfolio_refusal")
    @classmethod
    def _is_known_code(cls, code: int | None) -> int | None:
        if code is not None and code not in KINDS:
            raise ValueError(f"no such code; there are {', '.join(map(str, KINDS))}")
        return code

    @field_validator("recipients")
    @classmethod
    def _are_conducts(cls, recipients: dict[str, str]) -> dict[str, str]:
        for name in recipients.values():
            cls._is_conduct(name)
        return recipients

    def conduct_of(self, recipient: str) -> Conduct:
        """The conduct of a recipient (digits, or a business-scoped user id)."""
        if self.recipients:
            name = self.recipients.get(recipient)
            if name is not None:
                return CONDUCTS[name]
        if self.suffixes and recipient.startswith(SCRIPTED_PREFIX):
            conduct = SUFFIXES.get(recipient[-4:])
            if conduct is not None:
                return conduct
        return CONDUCTS[self.default_conduct]

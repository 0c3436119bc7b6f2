"""The accounts' message templates: kept, listed, and asked about when a message names one.

Source: WhatsApp Cloud API, template management, error codes and webhooks references, read 2026-09.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.sandbox.domain.conduct import Conduct
from services.sandbox.domain.errors import GraphError
from services.sandbox.domain.template_match import check_use
from services.sandbox.domain.template_use import TemplateUse
from services.sandbox.domain.updates import Accepted, AccountUpdate
from services.sandbox.domain.wire import escape

Status = Literal[
    "APPROVED", "PENDING", "REJECTED", "PAUSED", "DISABLED", "IN_APPEAL", "PENDING_DELETION", "DELETED", "LIMIT_EXCEEDED",
    "ARCHIVED", "LOCKED",
]  # fmt: skip
Quality = Literal["GREEN", "YELLOW", "RED", "UNKNOWN"]
Category = Literal["AUTHENTICATION", "MARKETING", "UTILITY"]
Pacing = Literal["none", "held", "paused"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,512}$")]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(_[A-Z]{2})?$")]

MAX_TEMPLATES: Final = 10_000
_REFUSALS: Final = MappingProxyType({"PAUSED": 132015, "DISABLED": 132016})
"""By status; every other that is not APPROVED is 132001."""
_STATUS_REMARKS: Final[Mapping[str, dict[str, Any]]] = MappingProxyType(
    {
        "PAUSED": {"other_info": {"title": "FIRST_PAUSE", "description": "Your template was paused as its quality is low."}},
        "DISABLED": {"disable_info": {"disable_date": "2026-12-31"}},
    }
)
DAY_SECONDS: Final = 86_400.0
MONTHLY_EDITS: Final = 10
MAX_HELD: Final = 10_000
_FIRST_ID: Final = 1_000_000_000_000_001
_NOT_FOUND: Final = 2593002
_EXISTS: Final = 2388024


Held = tuple[Accepted, Conduct]
"""A message that waits, and what its recipient will do."""


class TemplateSpec(BaseModel):
    """What makes a template. Its components are kept as given."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    category: Category = "UTILITY"
    status: Status = "APPROVED"
    components: Annotated[list[dict[str, Any]], Field(max_length=20)] = []
    parameter_format: Literal["POSITIONAL", "NAMED"] = "POSITIONAL"
    quality: Quality = "UNKNOWN"
    rejected_reason: Annotated[str, StringConstraints(max_length=64)] = "NONE"
    previous_category: Category | None = None
    message_send_ttl_seconds: Annotated[int, Field(ge=-1, le=2_592_000)] | None = None
    pacing: Pacing = "none"
    """Messages of it are held until the pacing is `none` again, or never go out."""


class NewTemplate(TemplateSpec):
    """As the Graph API takes it, which tolerates members that it does not know."""

    model_config = ConfigDict(extra="ignore")

    name: Name
    language: Language


@dataclass(slots=True)
class Template:
    """One template in one language."""

    id: str
    waba_id: str
    name: str
    language: str
    spec: TemplateSpec
    edits: list[float] = field(default_factory=list)
    """Monotonic seconds of its last edits while it was approved."""
    held: list[Held] = field(default_factory=list)
    """What waits for the end of its pacing."""

    def count_edit(self, now: float, time_scale: float) -> None:
        """Raises `GraphError` beyond one edit in 24 hours and ten in 30 days of an approved template."""
        day, month = DAY_SECONDS / time_scale, 30 * DAY_SECONDS / time_scale
        self.edits = [at for at in self.edits if at > now - month]
        if len(self.edits) >= MONTHLY_EDITS or (self.edits and self.edits[-1] > now - day):
            raise GraphError(100, "An approved template can be edited once in 24 hours and ten times in 30 days.")
        self.edits.append(now)

    def public(self) -> dict[str, Any]:
        """As the Graph API lists it."""
        spec = self.spec
        return {
            "id": self.id,
            "name": self.name,
            "language": self.language,
            "status": spec.status,
            "category": spec.category,
            "parameter_format": spec.parameter_format,
            "quality_score": {"score": spec.quality, "date": 1_700_000_000},
            "rejected_reason": spec.rejected_reason,
            "components": spec.components,
            **({"previous_category": spec.previous_category} if spec.previous_category else {}),
            **({"message_send_ttl_seconds": ttl} if (ttl := spec.message_send_ttl_seconds) is not None else {}),
        }

    def updates(self, before: TemplateSpec, timestamp: int) -> list[AccountUpdate]:
        """The webhooks that tell how it changed."""
        now = self.spec
        told: list[tuple[str, dict[str, Any]]] = []
        if now.status != before.status:
            is_back = now.status == "APPROVED" and before.status in ("PAUSED", "DISABLED")
            status = {"event": "REINSTATED" if is_back else now.status, "reason": now.rejected_reason}
            more = _STATUS_REMARKS.get(now.status, {})
            if now.status == "REJECTED":
                more = {"rejection_info": {"reason": now.rejected_reason, "recommendation": "Change the template."}}
            category = {"message_template_category": now.category}
            told.append(("message_template_status_update", {**status, **category, **more}))
        if now.quality != before.quality:
            scores = {"previous_quality_score": before.quality, "new_quality_score": now.quality}
            told.append(("message_template_quality_update", scores))
        if now.category != before.category:
            told.append(("template_category_update", {"previous_category": before.category, "new_category": now.category}))
        return [AccountUpdate(self.waba_id, field, self._value(value), timestamp) for field, value in told]

    def _value(self, value: dict[str, Any]) -> str:
        about = {
            "message_template_id": int(self.id),
            "message_template_name": self.name,
            "message_template_language": self.language,
        }
        return escape(orjson.dumps({**value, **about}).decode()).decode("ascii")


class Templates:
    """All of them, by account, name and language."""

    def __init__(self) -> None:
        self._templates: dict[tuple[str, str, str], Template] = {}
        self._by_id: dict[str, Template] = {}
        self._ids = count(_FIRST_ID)

    def put(self, waba_id: str, name: str, language: str, spec: TemplateSpec) -> Template:
        """Add or replace one. Raises `GraphError` beyond the limit."""
        key = waba_id, name, language
        known = self._templates.get(key)
        if known is None and len(self._templates) >= MAX_TEMPLATES:
            raise GraphError(100, f"The sandbox holds at most {MAX_TEMPLATES} templates.", subcode=2388019)
        template_id = str(next(self._ids)) if known is None else known.id
        template = self._templates[key] = self._by_id[template_id] = Template(template_id, waba_id, name, language, spec)
        return template

    def create(self, waba_id: str, new: NewTemplate, status: Status) -> Template:
        """As a business does. Raises `GraphError` where there is one of that name in that language."""
        if (waba_id, new.name, new.language) in self._templates:
            raise GraphError(100, "There is already content of this name in this language.", subcode=_EXISTS)
        spec = new.model_dump(include={"category", "components", "parameter_format", "message_send_ttl_seconds"})
        return self.put(waba_id, new.name, new.language, TemplateSpec(**spec, status=status))

    def find(self, waba_id: str, name: str, language: str) -> Template | None:
        return self._templates.get((waba_id, name, language))

    def by_id(self, template_id: str) -> Template | None:
        return self._by_id.get(template_id)

    def of(self, waba_id: str) -> list[Template]:
        """An account's, in the order they were made."""
        return [template for template in self._templates.values() if template.waba_id == waba_id]

    def all(self) -> list[Template]:
        return list(self._templates.values())

    def remove(self, waba_id: str, name: str, template_id: str | None) -> None:
        """Forget one, or without its id all languages of the name. Raises `GraphError` where there is none."""
        gone = [t for t in self.of(waba_id) if t.name == name and template_id in (None, t.id)]
        if not gone:
            raise GraphError(
                100, "No message template was found for that name.", message="Invalid parameter", subcode=_NOT_FOUND
            )
        self.forget(gone)

    def forget(self, templates: Iterable[Template]) -> None:
        for template in templates:
            self._templates.pop((template.waba_id, template.name, template.language), None)
            self._by_id.pop(template.id, None)

    def check(self, waba_id: str, use: TemplateUse, *, is_strict: bool) -> Template | None:
        """The template, if it is known. Raises `GraphError` where a message of it is refused; one that is not known, if strict."""
        template = self._templates.get((waba_id, use.name, use.language)) if self._templates else None
        if template is None:
            if is_strict:
                raise GraphError(132001)
            return None
        spec = template.spec
        if spec.status != "APPROVED":
            raise GraphError(_REFUSALS.get(spec.status, 132001))
        check_use(spec.components, use.components, is_named=spec.parameter_format == "NAMED")
        return template

"""The accounts' message templates: kept, listed, and asked about when a message names one.

Source: WhatsApp Cloud API, template management, error codes and webhooks references, read 2026-09.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.sandbox.domain.errors import GraphError
from services.sandbox.domain.payload import TemplateUse
from services.sandbox.domain.updates import AccountUpdate
from services.sandbox.domain.wire import escape

Status = Literal[
    "APPROVED", "PENDING", "REJECTED", "PAUSED", "DISABLED", "IN_APPEAL", "PENDING_DELETION", "DELETED", "LIMIT_EXCEEDED",
    "ARCHIVED", "LOCKED",
]  # fmt: skip
Quality = Literal["GREEN", "YELLOW", "RED", "UNKNOWN"]
Category = Literal["AUTHENTICATION", "MARKETING", "UTILITY"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,512}$")]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(_[A-Z]{2})?$")]

MAX_TEMPLATES: Final = 10_000
_REFUSALS: Final = MappingProxyType({"PAUSED": 132015, "DISABLED": 132016})
"""By status; every other that is not APPROVED is 132001."""
_FIRST_ID: Final = 1_000_000_000_000_001
_NOT_FOUND: Final = 2593002
_EXISTS: Final = 2388024
_PLACE: Final = re.compile(r"\{\{\s*([A-Za-z0-9_]{1,64})\s*\}\}")


class TemplateSpec(BaseModel):
    """What makes a template. Its components are kept as given."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    category: Category = "UTILITY"
    status: Status = "APPROVED"
    components: Annotated[list[dict[str, Any]], Field(max_length=20)] = []
    parameter_format: Literal["POSITIONAL", "NAMED"] = "POSITIONAL"
    quality: Quality = "UNKNOWN"
    rejected_reason: Annotated[str, StringConstraints(max_length=64)] = "NONE"


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
            "quality_score": {"score": spec.quality},
            "rejected_reason": spec.rejected_reason,
            "components": spec.components,
        }

    def updates(self, before: TemplateSpec, timestamp: int) -> list[AccountUpdate]:
        """The webhooks that tell how it changed."""
        now = self.spec
        told: list[tuple[str, dict[str, Any]]] = []
        if now.status != before.status:
            is_back = now.status == "APPROVED" and before.status in ("PAUSED", "DISABLED")
            status = {"event": "REINSTATED" if is_back else now.status, "reason": now.rejected_reason}
            told.append(("message_template_status_update", {**status, "message_template_category": now.category}))
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
        self._ids = count(_FIRST_ID)

    def put(self, waba_id: str, name: str, language: str, spec: TemplateSpec) -> Template:
        """Add or replace one. Raises `GraphError` beyond the limit."""
        key = waba_id, name, language
        known = self._templates.get(key)
        if known is None and len(self._templates) >= MAX_TEMPLATES:
            raise GraphError(100, f"The sandbox holds at most {MAX_TEMPLATES} templates.", subcode=2388019)
        template_id = str(next(self._ids)) if known is None else known.id
        self._templates[key] = Template(template_id, waba_id, name, language, spec)
        return self._templates[key]

    def create(self, waba_id: str, new: NewTemplate, status: Status) -> Template:
        """As a business does. Raises `GraphError` where there is one of that name in that language."""
        if (waba_id, new.name, new.language) in self._templates:
            raise GraphError(100, "There is already content of this name in this language.", subcode=_EXISTS)
        spec = new.model_dump(include={"category", "components", "parameter_format"})
        return self.put(waba_id, new.name, new.language, TemplateSpec(**spec, status=status))

    def find(self, waba_id: str, name: str, language: str) -> Template | None:
        return self._templates.get((waba_id, name, language))

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

    def check(self, waba_id: str, use: TemplateUse, *, is_strict: bool) -> None:
        """Raises `GraphError` where a message of the template is refused. One that is not known is sent, unless strict."""
        template = self._templates.get((waba_id, use.name, use.language)) if self._templates else None
        if template is None:
            if is_strict:
                raise GraphError(132001)
            return
        if template.spec.status != "APPROVED":
            raise GraphError(_REFUSALS.get(template.spec.status, 132001))
        _check_counts(template.spec.components, use.components)


def _check_counts(components: Sequence[dict[str, Any]], given: Any) -> None:
    """Of the body's parameters and of a text header's. Raises `GraphError` 132000."""
    counts = {
        str(component.get("type", "")).lower(): len(parameters)
        if isinstance(parameters := component.get("parameters"), list)
        else 0
        for component in (given if isinstance(given, list) else ())
        if isinstance(component, dict)
    }
    for component in components:
        kind = str(component.get("type", "")).lower()
        if kind == "body" or (kind == "header" and str(component.get("format", "TEXT")).upper() == "TEXT"):
            expected = len(set(_PLACE.findall(str(component.get("text", "")))))
            if counts.get(kind, 0) != expected:
                raise GraphError(
                    132000, f"{kind}: number of localizable_params ({counts.get(kind, 0)}) does not match the expected number "
                    f"of params ({expected})",
                )  # fmt: skip

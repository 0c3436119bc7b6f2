"""Everything in the tree that is made from code: API documents, event schemas, settings tables, the metrics.

python -m local.generate            writes what is stale
python -m local.generate --check    names it and fails
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import services.archive.settings
import services.gateway.settings
import services.sandbox.settings
import services.scheduler.settings
import services.sender.settings
import shared.events.catalogue
from local.metrics_page import metrics_page
from services.gateway import app as gateway
from services.gateway.forward import Door
from services.gateway.routes import archive, callbacks, campaigns
from services.gateway.routes.admin.all import operator_routes
from services.gateway.routes.contact_imports import ContactImportRoutes
from services.gateway.routes.contacts import ContactRoutes
from services.gateway.routes.drafts import DraftRoutes
from services.gateway.routes.erasures import ErasureRoutes
from services.gateway.routes.events import EventRoutes
from services.gateway.routes.groups import GroupRoutes
from services.gateway.routes.media import MediaRoutes
from services.gateway.routes.messages import MessageRoutes
from services.gateway.routes.numbers import NumberRoutes
from services.gateway.routes.quarantine import QuarantineRoutes
from services.gateway.routes.receipts import ReceiptRoutes
from services.gateway.routes.schedules import ScheduleRoutes
from services.gateway.routes.segments import SegmentRoutes
from services.gateway.routes.settings import SettingsRoutes
from services.gateway.routes.templates import TemplateRoutes
from services.gateway.routes.traces import TraceRoutes
from services.gateway.routes.twilio import TwilioRoutes
from services.gateway.routes.webhooks import WebhookRoutes
from services.topology import SUBSCRIPTIONS
from shared.config import PREFIX, Group
from shared.events.asyncapi import asyncapi_document
from shared.events.event import registered_events
from shared.http.health import Health
from shared.http.openapi import document
from shared.version import VERSION

ROOT: Final = Path(__file__).resolve().parents[1]
GOLDEN: Final = Path("shared/events/golden")
SETTINGS: Final[Mapping[str, type[BaseModel]]] = {
    "gateway": services.gateway.settings.Settings,
    "scheduler": services.scheduler.settings.Settings,
    "sender": services.sender.settings.Settings,
    "archive": services.archive.settings.Settings,
    "sandbox": services.sandbox.settings.Settings,
}
_TABLE_BEGIN: Final = "<!-- settings: generated -->\n"
_TABLE_END: Final = "<!-- /settings -->"


def generated() -> Iterator[tuple[Path, str]]:
    """Every generated file with its content."""
    subjects = {
        name: event for name, event in registered_events().items() if event.__module__ == shared.events.catalogue.__name__
    }
    for subject, event in sorted(subjects.items()):
        yield GOLDEN / f"{subject}.json", _json(event.model_json_schema(mode="serialization"))
    yield Path("docs/asyncapi.json"), _json(asyncapi_document(subjects, SUBSCRIPTIONS, version=VERSION))
    yield Path("docs/openapi.json"), _json(openapi())
    yield Path("docs/metrics.md"), metrics_page()
    for service, settings in SETTINGS.items():
        readme = Path("services") / service / "README.md"
        text = (ROOT / readme).read_text(encoding="utf-8")
        begin, found, rest = text.partition(_TABLE_BEGIN)
        _, end, after = rest.partition(_TABLE_END)
        if not found or not end:
            raise ValueError(f"{readme} has no place for the settings: {_TABLE_BEGIN.strip()} … {_TABLE_END}")
        yield readme, "".join((begin, _TABLE_BEGIN, "\n".join(_table(settings)), "\n", end, after))


def openapi() -> dict[str, Any]:
    """The public API's document, as the gateway serves it."""
    nothing = cast("Any", None)  # the document needs the routes, not what stands behind them
    door = Door(nothing, "", "", "")
    routes = gateway.public_routes(
        MessageRoutes(nothing, nothing, nothing, nothing, nothing, nothing).routes(),
        ReceiptRoutes(nothing, nothing, nothing, nothing).routes(),
        NumberRoutes(nothing, nothing, nothing, nothing).routes(),
        ContactRoutes(nothing, nothing, nothing, nothing).routes(),
        ContactImportRoutes(nothing, nothing, nothing, nothing).routes(),
        GroupRoutes(nothing, nothing, nothing).routes(),
        SegmentRoutes(nothing, nothing).routes(),
        TemplateRoutes(nothing, nothing, nothing).routes(),
        DraftRoutes(nothing, nothing).routes(),
        MediaRoutes(nothing, nothing, nothing, nothing).routes(),
        SettingsRoutes(nothing, nothing).routes(),
        ScheduleRoutes(door, nothing).routes(),
        campaigns.routes(door),
        callbacks.routes(door),
        archive.routes(door, nothing),
        ErasureRoutes(nothing, nothing, nothing).routes(),
        EventRoutes(nothing, nothing, nothing).routes(),
        WebhookRoutes(nothing, nothing).routes(),
        QuarantineRoutes(nothing, nothing, nothing).routes(),
        TwilioRoutes(nothing).routes(),
        TraceRoutes(nothing, nothing).routes(),
        operator_routes(nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing),
    )
    routes = [*routes, *Health({}).routes()]
    return document(routes, title=gateway.TITLE, version=VERSION, description=gateway.DESCRIPTION, prefix="/api")


def _table(settings: type[BaseModel]) -> Iterator[str]:
    yield "| Variable | Default | What it does |"
    yield "| --- | --- | --- |"
    for group_name, group in settings.model_fields.items():
        group_type = group.annotation
        if not (isinstance(group_type, type) and issubclass(group_type, Group)):
            continue
        for name, field in group_type.model_fields.items():
            default = "required" if field.default is PydanticUndefined else _shown(field.default)
            yield f"| `{PREFIX}{group_name.upper()}__{name.upper()}` | {default} | {field.description} |"


def _shown(default: object) -> str:
    text = default.get_secret_value() if hasattr(default, "get_secret_value") else str(default)
    return f"`{text}`" if text else "empty"


def _json(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=False, ensure_ascii=False) + "\n"


def main() -> int:
    """Write, or check and name what is stale."""
    check = "--check" in sys.argv[1:]
    stale = []
    for path, text in generated():
        target = ROOT / path
        if target.exists() and target.read_text(encoding="utf-8") == text:
            continue
        stale.append(path)
        if not check:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    for path in stale:
        sys.stdout.write(f"{'stale' if check else 'written'}: {path}\n")
    if check and stale:
        sys.stderr.write("generated files are stale: run make docs\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())

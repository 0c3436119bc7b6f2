"""`/{version}/{waba_id}/message_templates`, and `/control/templates`, which turns what a review or a quality rating would."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

import orjson
from pydantic import TypeAdapter, ValidationError

from services.sandbox.answers import Answer, graph_json, plain_json
from services.sandbox.domain.errors import GraphError, required, unknown_field
from services.sandbox.numbers import GraphId
from services.sandbox.request import Request
from services.sandbox.routes.control import changed, json_object, valid
from services.sandbox.templates import Language, Name, NewTemplate, Status, Template, TemplateSpec
from services.sandbox.world import World

DEFAULT_PAGE: Final = 25
MAX_PAGE: Final = 1000
_FIELDS: Final = frozenset(
    {"id", "name", "language", "status", "category", "parameter_format", "quality_score", "rejected_reason", "components"}
)
_SUCCESS: Final = {"success": True}
_GRAPH_ID: Final = TypeAdapter(GraphId)
_NAME: Final = TypeAdapter(Name)
_LANGUAGE: Final = TypeAdapter(Language)


class TemplateRoutes:
    """Both doors to the same templates."""

    def __init__(self, world: World) -> None:
        self._world = world

    def graph(self, request: Request, waba_id: str) -> bytes:
        """What Meta serves of an account's templates."""
        header, token = request.header(b"Authorization"), request.query.get("access_token")
        self._world.numbers.authorize_account(waba_id, header, token, request.method)
        match request.method:
            case "GET":
                return graph_json(self._page(request, waba_id))
            case "POST":
                return graph_json(self._create(request, waba_id))
            case "DELETE":
                query = request.query
                if not query.get("name"):
                    raise required("name")
                self._world.templates.remove(waba_id, query["name"], query.get("hsm_id"))
                return graph_json(_SUCCESS)
        raise unknown_field("message_templates", "WhatsAppBusinessAccount")

    def control(self, request: Request, segments: Sequence[str]) -> Answer | None:
        """The templates themselves, whatever their account."""
        world = self._world
        match request.method, segments:
            case "GET", []:
                return plain_json({"data": [_shown(template) for template in world.templates.all()]})
            case "DELETE", []:
                world.templates.forget(world.templates.all())
                return plain_json(_SUCCESS)
            case "PUT", [waba_id, name, language]:
                _check_names(waba_id, name, language)
                return plain_json(_shown(world.templates.put(waba_id, name, language, valid(TemplateSpec, request.body))))
            case "PATCH", [waba_id, name, language]:
                return plain_json(_shown(self._change(self._find(waba_id, name, language), json_object(request))))
            case "DELETE", [waba_id, name, language]:
                world.templates.forget([self._find(waba_id, name, language)])
                return plain_json(_SUCCESS)
        return None

    def _page(self, request: Request, waba_id: str) -> dict[str, Any]:
        query = request.query
        fields = [field for field in query.get("fields", "").split(",") if field]
        for field in fields:
            if field not in _FIELDS:
                raise unknown_field(field[:64], "WhatsAppMessageTemplate")
        found = [template.public() for template in self._world.templates.of(waba_id)]
        for name in ("name", "status", "category", "language"):
            if name in query:
                found = [template for template in found if template[name] == query[name]]
        limit = _limit(query.get("limit"))
        start = 0 if "after" not in query else _place(query["after"]) + 1
        if "before" in query:
            start = max(0, _place(query["before"]) - limit)
        page = found[start : start + limit]
        shown = [{field: template[field] for field in {*fields, "id"}} if fields else template for template in page]
        if not page:
            return {"data": []}
        cursors = {"before": _cursor(start), "after": _cursor(start + len(page) - 1)}
        paging: dict[str, Any] = {"cursors": cursors}
        for name, cursor, is_there in (
            ("next", {"after": cursors["after"]}, start + limit < len(found)),
            ("previous", {"before": cursors["before"]}, start > 0),
        ):
            if is_there:
                rest = {key: value for key, value in query.items() if key not in ("after", "before")}
                host = request.header(b"Host") or "127.0.0.1"
                paging[name] = f"http://{host}{request.path}?{urlencode({**rest, **cursor})}"
        return {"data": shown, "paging": paging}

    def _create(self, request: Request, waba_id: str) -> dict[str, Any]:
        if request.content_type == "application/x-www-form-urlencoded":
            try:
                form: dict[str, Any] = request.form()
                if "components" in form:
                    form["components"] = orjson.loads(form["components"])
            except ValueError:
                raise GraphError(100, "The body is not a valid form in UTF-8.") from None
            body = orjson.dumps(form)
        else:
            body = request.body
        status: Status = "APPROVED" if self._world.behaviour.templates_approved else "PENDING"
        template = self._world.templates.create(waba_id, valid(NewTemplate, body), status)
        if status == "APPROVED":
            self._tell(template, template.spec.model_copy(update={"status": "PENDING"}))
        return {"id": template.id, "status": status, "category": template.spec.category}

    def _change(self, template: Template, changes: dict[str, Any]) -> Template:
        before = template.spec
        template.spec = changed(before, before.model_dump(), changes)
        self._tell(template, before)
        return template

    def _tell(self, template: Template, before: TemplateSpec) -> None:
        """Each callback of the account's numbers once."""
        world = self._world
        updates = template.updates(before, int(world.clock.now().timestamp()))
        numbers = {(n.spec.webhook_url, n.app_secret): n for n in world.numbers.all() if n.line.waba_id == template.waba_id}
        for number in numbers.values():
            for update in updates:
                world.webhooks.send(number, update)

    def _find(self, waba_id: str, name: str, language: str) -> Template:
        template = self._world.templates.find(waba_id, name, language)
        if template is None:
            raise GraphError(100, "There is no such template.", http_status=404)
        return template


def _shown(template: Template) -> dict[str, Any]:
    return {"waba_id": template.waba_id, **template.public()}


def _check_names(waba_id: str, name: str, language: str) -> None:
    for adapter, value, sentence in (
        (_GRAPH_ID, waba_id, "waba_id: must be 1 to 20 digits."),
        (_NAME, name, "name: must be lower-case letters, digits and underscores."),
        (_LANGUAGE, language, "language: must be a code such as en or en_US."),
    ):
        try:
            adapter.validate_python(value)
        except ValidationError:
            raise GraphError(100, sentence) from None


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_PAGE
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) >= 1):
        raise GraphError(100, "Param limit must be a positive integer.")
    return min(int(text), MAX_PAGE)


def _cursor(place: int) -> str:
    return base64.urlsafe_b64encode(str(place).encode()).decode().rstrip("=")


def _place(cursor: str) -> int:
    """Where a cursor stands. Raises `GraphError` for one that no page has given."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        if text.isdigit() and len(text) < 10:
            return int(text)
    except ValueError:
        pass
    raise GraphError(100, "The cursor is not one that this list has given.")

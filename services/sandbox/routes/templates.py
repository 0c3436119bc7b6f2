"""`/{version}/{waba_id}/message_templates`, and `/control/templates`, which turns what a review or a quality rating would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import orjson
from pydantic import TypeAdapter, ValidationError

from services.sandbox.answers import Answer, graph_json, plain_json
from services.sandbox.domain.errors import GraphError, required, unknown_field
from services.sandbox.domain.template_rules import check_components, verdict
from services.sandbox.happen import follow
from services.sandbox.numbers import GraphId
from services.sandbox.request import Request
from services.sandbox.routes.bodies import members_of
from services.sandbox.routes.control import changed, json_object, valid
from services.sandbox.routes.paging import fields_of, page_of
from services.sandbox.templates import MAX_TEMPLATES, Language, Name, NewTemplate, Template, TemplateSpec
from services.sandbox.world import World

_FIELDS: Final = frozenset(
    {
        "id",
        "name",
        "language",
        "status",
        "category",
        "parameter_format",
        "quality_score",
        "rejected_reason",
        "components",
        "previous_category",
        "message_send_ttl_seconds",
        # Empty here; what is empty is left out of an answer.
        "correct_category",
        "library_template_name",
        "cta_url_link_tracking_opted_out",
        "sub_category",
        "degrees_of_freedom_spec",
    }
)
_EDITABLE: Final = frozenset({"category", "components", "parameter_format", "message_send_ttl_seconds"})
MAX_LANGUAGES: Final = 100
DROPPED: Final = 132015
"""What a message that was held fails with when its template is paused instead."""
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
        self._authorize(request, waba_id)
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

    def _authorize(self, request: Request, waba_id: str) -> None:
        header, token = request.header(b"Authorization"), request.query.get("access_token")
        self._world.numbers.authorize_account(waba_id, header, token, request.method)

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
        fields = fields_of(query, _FIELDS, "WhatsAppMessageTemplate")
        found = [template.public() for template in self._world.templates.of(waba_id)]
        for name in ("name", "status", "category", "language"):
            if name in query:
                found = [template for template in found if template[name] == query[name]]
        if "content" in query:
            found = [template for template in found if query["content"] in str(template["components"])]
        page = page_of(request, found, fields)
        if "summary" in query:
            page["summary"] = {
                "total_count": len(found),
                "message_template_count": len(self._world.templates.of(waba_id)),
                "message_template_limit": MAX_TEMPLATES,
                "are_translations_complete": True,
            }
        return page

    def node(self, request: Request, template: Template) -> bytes:
        """`GET`, `POST` and `DELETE /{template_id}`."""
        self._authorize(request, template.waba_id)
        match request.method:
            case "GET":
                shown = template.public()
                fields = fields_of(request.query, _FIELDS, "WhatsAppMessageTemplate")
                return graph_json({name: shown[name] for name in (*fields, "id") if name in shown} if fields else shown)
            case "POST":
                self._edit(template, members_of(request))
                return graph_json({**_SUCCESS, "id": template.id, "name": template.name, "category": template.spec.category})
            case "DELETE":
                self._world.templates.forget([template])
                return graph_json(_SUCCESS)
        raise unknown_field(request.method, "WhatsAppMessageTemplate")

    def unpause(self, request: Request, template: Template) -> bytes:
        """`POST /{template_id}/unpause`."""
        self._authorize(request, template.waba_id)
        if request.method != "POST" or template.spec.status != "PAUSED":
            raise GraphError(100, "Only a paused template can be unpaused.")
        self._take(template, template.spec.model_copy(update={"status": "APPROVED"}))
        return graph_json(_SUCCESS)

    def upsert(self, request: Request, waba_id: str) -> bytes:
        """`POST /{waba_id}/upsert_message_templates`: authentication templates of one name in several languages."""
        self._authorize(request, waba_id)
        members = members_of(request)
        languages = members.pop("languages", None)
        if request.method != "POST" or not isinstance(languages, list) or not 1 <= len(languages) <= MAX_LANGUAGES:
            raise required("languages")
        if members.get("category") != "AUTHENTICATION":
            raise GraphError(100, "category: must be AUTHENTICATION.")
        news = [self._new({**members, "language": language}) for language in languages]
        data = []
        for new in news:
            template = self._world.templates.find(waba_id, new.name, new.language)
            if template is None:
                template = self._made(waba_id, new)
            else:
                self._reviewed(template, template.spec.model_copy(update={"components": new.components}))
            data.append({"id": template.id, "status": template.spec.status, "language": new.language})
        return graph_json({"data": data})

    def _new(self, members: dict[str, Any]) -> NewTemplate:
        new = valid(NewTemplate, orjson.dumps(members))
        check_components(new.components, refuses_edges=self._world.behaviour.refuse_edge_variables)
        return new

    def _create(self, request: Request, waba_id: str) -> dict[str, Any]:
        template = self._made(waba_id, self._new(members_of(request)))
        return {"id": template.id, "status": template.spec.status, "category": template.spec.category}

    def _made(self, waba_id: str, new: NewTemplate) -> Template:
        template = self._world.templates.create(waba_id, new, "PENDING")
        self._reviewed(template, template.spec)
        return template

    def _edit(self, template: Template, members: dict[str, Any]) -> None:
        """Raises `GraphError` for one that waits for its review, and for an approved one beyond its edits."""
        before, world = template.spec, self._world
        if before.status not in ("APPROVED", "REJECTED", "PAUSED"):
            raise GraphError(100, f"A template cannot be edited while it is {before.status}.")
        changes = {name: value for name, value in members.items() if name in _EDITABLE}
        after = changed(before, before.model_dump(), changes)
        check_components(after.components, refuses_edges=world.behaviour.refuse_edge_variables)
        if before.status == "APPROVED":
            template.count_edit(world.clock.monotonic(), world.behaviour.time_scale)
        self._reviewed(template, after)

    def _reviewed(self, template: Template, spec: TemplateSpec) -> None:
        """Let it go by `spec`, PENDING until the review, which may be at once, later, or the control API's."""
        world = self._world
        self._take(template, spec.model_copy(update={"status": "PENDING", "rejected_reason": "NONE"}))
        seconds = world.behaviour.review_seconds

        def review() -> None:
            if template.spec.status == "PENDING":
                reason = verdict(template.name)
                told = {"status": "APPROVED"} if reason is None else {"status": "REJECTED", "rejected_reason": reason}
                self._take(template, template.spec.model_copy(update=told))

        if seconds is not None:
            world.later.after([(seconds, review)])
        elif world.behaviour.templates_approved:
            review()

    def _take(self, template: Template, spec: TemplateSpec) -> None:
        """Go by `spec` from now on, tell the account's callbacks, and let what was held go on or fail."""
        before = template.spec
        template.spec = spec
        self._tell(template, before)
        if template.held and (spec.pacing == "none" or spec.status != "APPROVED"):
            held, template.held = template.held, []
            for message, conduct in held:
                if spec.status != "APPROVED":
                    message.failure = DROPPED
                    conduct = replace(conduct, steps=("failed",), failure=DROPPED, replies=False)  # noqa: PLW2901  # its own
                follow(self._world, message, conduct, "template", None)

    def _change(self, template: Template, changes: dict[str, Any]) -> Template:
        before = template.spec
        if changes.get("category") not in (None, before.category):
            changes.setdefault("previous_category", before.category)
        self._take(template, changed(before, before.model_dump(), changes))
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

"""What is to be said, for each of an audience: templates, drafts and inline content, with everybody's variables filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
import orjson
from pydantic import ValidationError

from services.gateway.domain.rendering import (
    Fault,
    Reader,
    closest_language,
    filled,
    lookup_for,
    malformed_errors,
    missing_fault,
    names_in,
    rendered_fault,
    share_of,
)
from services.gateway.payloads.templates import ContentBody
from services.gateway.store import templates as store
from services.gateway.templates import parameter_faults, shape_of, shapes, template_named
from shared.content import content_of as content_in_parts
from shared.db.pool import Connection, Pool
from shared.errors import FieldError
from shared.events.values import Content, Variant
from shared.http.faults import faults_of
from shared.ids import TenantId

MAX_CONTENT_BYTES: Final = 64 * 1024
"""Of a content in JSON, a quarter of what POST /api/messages takes: it is repeated for each of an audience."""


@dataclass(frozen=True, slots=True, repr=False)
class Said:
    """One variant, looked up. Holds what people will read, so it has no `repr`."""

    content: Content
    variables: Mapping[str, str]
    defaults: Mapping[str, str]
    is_literal: bool = False
    """A message's content, said again: what looks like a variable in it is none."""
    translations: Mapping[str, Said] = field(default_factory=dict)
    """Of a template: the same in other languages."""
    has_variables: bool = field(init=False)
    fault: Fault | None = field(init=False)
    """What is wrong for everybody, of a content without variables."""

    def __post_init__(self) -> None:
        has_variables = not self.is_literal and any(True for _ in names_in(self.content))
        object.__setattr__(self, "has_variables", has_variables)
        object.__setattr__(self, "fault", None if has_variables or self.is_literal else rendered_fault(self.content))


class Renderer:
    """Renders the variants of a run, a template in the reader's language if it is there. Pure: everything was looked up by
    `prepare`."""

    def __init__(self, run_id: str, said: Sequence[Said], weights: Sequence[int]) -> None:
        self._run_id = run_id
        self._said = said
        self._weights = weights

    def render(self, reader: Reader) -> tuple[int, Content] | Fault:
        """The variant's index and its content for this reader, or why there is none."""
        index = share_of(self._run_id, reader.to, self._weights)
        content = self.render_variant(index, reader)
        return content if isinstance(content, Fault) else (index, content)

    def render_variant(self, index: int, reader: Reader) -> Content | Fault:
        """One variant's content for this reader, whosever turn it is."""
        said = self._said[index]
        if said.translations:
            language = closest_language(reader.language, said.translations)
            said = said if language is None else said.translations[language]
        if not said.has_variables:
            return said.fault or said.content
        content, missing = filled(said.content, lookup_for(reader, said.variables, said.defaults))
        return missing_fault(missing) if missing else rendered_fault(content) or content


async def prepare(
    connection: Connection | Pool, tenant_id: TenantId, run_id: str, variants: Sequence[Variant]
) -> Renderer | Fault:
    """A renderer of these variants, or why there is nothing to render for anybody: `template.unknown`, `draft.unknown`,
    `message.unknown`, or what is wrong with a content. Looks up all of them at once; call it once a page."""
    rows = await _templates(connection, tenant_id, variants)
    named = {one.message_id for one in variants if one.message_id is not None}
    contents = await store.contents(connection, tenant_id, named) if named else {}
    texts = {row["name"] for row in rows.values() if row["kind"] == "text"}
    translations = await store.texts_named(connection, tenant_id, texts) if texts else ()
    said: list[Said] = []
    for variant in variants:
        one = _said(variant, rows, translations, contents)
        if isinstance(one, Fault):
            return one
        said.append(one)
    if not said:
        return Fault("content.missing", "there is no variant, so there is nothing to say", "/variants")
    known = await shapes(connection, tenant_id, (name for one in said if (name := template_named(one.content)) is not None))
    for one in said:
        faults = parameter_faults(known, one.content)
        if faults:
            return _fault(faults)
    return Renderer(run_id, said, [variant.weight for variant in variants])


def _fault(faults: Sequence[FieldError]) -> Fault:
    return Fault(faults[0].code, f"{faults[0].pointer}: {faults[0].detail}", faults[0].pointer)


async def _templates(
    connection: Connection | Pool, tenant_id: TenantId, variants: Sequence[Variant]
) -> Mapping[str, asyncpg.Record]:
    ids = {one.template_id for one in variants if one.template_id is not None}
    return await store.by_ids(connection, tenant_id, ids) if ids else {}


def _said(
    variant: Variant,
    rows: Mapping[str, asyncpg.Record],
    translations: Sequence[asyncpg.Record],
    contents: Mapping[str, Content],
) -> Said | Fault:
    if variant.template_id is not None:
        row = rows.get(variant.template_id)
        if row is None:
            return Fault("template.unknown", "there is no such template", "/template_id")
        content = content_of_template(row)
        if isinstance(content, Fault):
            return content
        others = {
            other["language"]: Said(_text(other), variant.variables, orjson.loads(other["defaults"]))
            for other in translations
            if row["kind"] == "text" and other["name"] == row["name"]
        }
        return Said(content, variant.variables, orjson.loads(row["defaults"]), translations=others)
    if variant.message_id is not None:
        known = contents.get(variant.message_id)
        if known is None:
            kind = "draft" if variant.message_id.startswith("drf_") else "message"
            return Fault(f"{kind}.unknown", f"there is no such {kind}", "/message_id")
        if not variant.message_id.startswith("drf_"):  # what it answered was another conversation
            known = {name: value for name, value in known.items() if name != "context"}
            return Said(known, variant.variables, {}, is_literal=True)
        malformed = malformed_errors(known)
        return _fault(malformed) if malformed else Said(known, variant.variables, {})
    if variant.content is None:
        return Fault("content.missing", "one of content, template_id and message_id is needed", "/content")
    checked = checked_content(variant.content)
    if isinstance(checked, list):
        return _fault(checked)
    return Said(checked, variant.variables, {})


def content_of_template(row: asyncpg.Record) -> Content | Fault:
    """A message of a template of either kind, its parameters as variables."""
    if row["kind"] == "text":
        return _text(row)
    if row["components"] is None:
        return Fault("template.unread", "the provider has not described this template yet; sync and try again", "/template_id")
    content = shape_of(row).content(row["name"], row["language"])
    if content is None:
        detail = "takes parameters that are no texts and links: give its components in `content` instead"
        return Fault("template.needs_content", detail, "/template_id")
    return content


def _text(row: asyncpg.Record) -> Content:
    return {"type": "text", "text": {"body": row["body"]}}


def checked_content(value: Any) -> Content | list[FieldError]:
    """A content that POST /api/messages would take, before its variables are filled in; or what is wrong with it."""
    if len(orjson.dumps(value)) > MAX_CONTENT_BYTES:
        return [FieldError("/content", "content.too_large", f"has more than {MAX_CONTENT_BYTES} bytes")]
    try:
        body = ContentBody.model_validate(value, strict=True)
    except ValidationError as error:
        return faults_of(error, value)
    return content_of(body)


def content_of(body: ContentBody) -> Content | list[FieldError]:
    """The content in a body that is well-formed, by the rules of POST /api/messages."""
    content = content_in_parts(body.type, body)
    return content if isinstance(content, list) else malformed_errors(content) or content

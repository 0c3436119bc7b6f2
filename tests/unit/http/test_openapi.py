from __future__ import annotations

from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from typing import Annotated, Any, Literal

import pytest
from aiohttp import web
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from shared.http.docs_page import render
from shared.http.openapi import document
from shared.http.problem import Problem
from shared.http.routes import FORM, JSON, NDJSON, Access, Route
from shared.http.schema_rows import rows_of

HOSTILE = "<script>alert(1)</script>\"'&"


class Text(BaseModel):
    body: str = Field(max_length=4096, description=f"What to say. {HOSTILE}")


class Node(BaseModel):
    children: list[Node] = []


class NewMessage(BaseModel):
    to: str = Field(pattern=r"^\+[0-9]+$")
    text: Text
    priority: Literal["high", "low"] = "low"
    tree: Node | None = None


class Accepted(BaseModel):
    id: str
    text: Text


class Page(BaseModel):
    limit: int = Field(20, ge=1, le=100, description="Items at most.")
    cursor: str | None = None


class ByName(BaseModel):
    type: Literal["name"]
    name: str


class ByNumber(BaseModel):
    type: Literal["number"]
    number: int


class Choice(BaseModel):
    """A choice."""

    who: Annotated[ByName | ByNumber, Field(discriminator="type")]
    fields: list[str] = ["*"]
    is_new: bool = True


class File(BaseModel):
    """The file itself."""


async def handler(_request: web.Request) -> web.StreamResponse:
    return web.Response()


ROUTES = [
    Route(
        "POST",
        "/api/messages",
        handler,
        summary=f"Send {HOSTILE}",
        tag="Messages",
        request=NewMessage,
        responses={202: Accepted, 429: Problem},
        idempotent=True,
        accepts=(JSON, NDJSON),
        description=f"Accepts it. `code {HOSTILE}`",
        request_examples={"text": {"to": "+1", "text": {"body": HOSTILE}}},
    ),
    Route("GET", "/api/messages", handler, summary="List", tag="Messages", query=Page, responses={200: Accepted}),
    Route(
        "GET", "/api/messages/{message_id:msg_[0-9a-v]{26}}", handler, summary="Show", tag="Messages", responses={200: Accepted}
    ),
    Route("DELETE", "/api/messages/{message_id}", handler, summary="Drop", tag="Messages", responses={204: None}),
    Route("GET", "/health", handler, summary="Alive?", tag="Operation", access=Access.PUBLIC),
    Route("GET", "/hidden", handler, summary="x", tag="Hidden", documented=False),
]


@pytest.fixture(scope="module")
def api() -> dict[str, Any]:
    return document(ROUTES, title=f"Chasqui {HOSTILE}", version="1", description="One.\n\nTwo.")


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_reference_resolves_and_every_schema_is_one(api: dict[str, Any]) -> None:
    for reference in references(api):
        assert reference.removeprefix("#/components/schemas/") in api["components"]["schemas"]
    for schema in api["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_an_operation_tells_its_statuses_and_who_may_call(api: dict[str, Any]) -> None:
    operation = api["paths"]["/api/messages"]["post"]

    assert operation["operationId"] == "post_messages"
    assert operation["security"] == [{"apiKey": []}]
    assert set(operation["responses"]) == {
        str(status) for status in (202, 400, 401, 403, 408, 409, 413, 415, 422, 429, 500, 503)
    }
    assert set(operation["responses"]["422"]["content"]) == {"application/problem+json"}
    assert "Retry-After" in operation["responses"]["429"]["headers"]
    assert set(operation["requestBody"]["content"]) == {JSON, NDJSON}
    assert [parameter["name"] for parameter in operation["parameters"]] == ["Idempotency-Key"]
    assert api["paths"]["/health"]["get"]["security"] == []
    assert "/hidden" not in api["paths"]
    assert "content" not in api["paths"]["/api/messages/{message_id}"]["delete"]["responses"]["204"]


def test_parameters_come_from_path_and_query_model(api: dict[str, Any]) -> None:
    (path,) = api["paths"]["/api/messages/{message_id}"]["get"]["parameters"]
    limit, cursor = api["paths"]["/api/messages"]["get"]["parameters"]

    assert path["schema"]["pattern"] == "^msg_[0-9a-v]{26}$"
    assert (limit["in"], limit["required"], limit["schema"]["maximum"]) == ("query", False, 100)
    assert cursor["name"] == "cursor"
    assert "Page" not in api["components"]["schemas"]


def test_requests_refuse_unknown_fields_at_every_depth(api: dict[str, Any]) -> None:
    schemas = api["components"]["schemas"]

    for name in ("NewMessage", "Text", "Node"):
        assert schemas[name]["additionalProperties"] is False
    assert "additionalProperties" not in schemas["Accepted"]


def test_an_operation_declared_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        document([ROUTES[1], ROUTES[1]], title="x", version="1")


class Page_(HTMLParser):  # noqa: N801  # `Page` is the query's
    """Collects what a browser would make of the page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in {"meta", "wbr"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_self_contained_and_escaped(api: dict[str, Any]) -> None:
    html = render(api, "/api/openapi.json")
    page = Page_()
    page.feed(html)

    assert not page.open
    assert "script" not in page.tags
    assert not {"link", "img", "iframe"} & set(page.tags)
    targets = {value for name, value in page.attributes if name == "id"}
    for name, value in page.attributes:
        assert not name.startswith("on")
        if name == "href":
            assert value == "/api/openapi.json" or (value is not None and value.startswith("#") and value[1:] in targets)
    for shown in ("/api/messages", "text.<wbr>body", "≤ 4096 characters", "Idempotency-Key", "curl -X POST", "field.unknown"):
        assert shown in html


def one(route: Route) -> tuple[dict[str, Any], str]:
    api = document([route], title="x", version="1")
    return api, unescape(render(api, "/api/openapi.json"))


def test_what_stands_in_one_place_is_shown_as_one_of_several() -> None:
    api, html = one(Route("POST", "/api/choices", handler, "Choose", "Choices", request=Choice))
    rows = list(rows_of(api["components"]["schemas"]["Choice"], api))

    assert [(row.name, row.type) for row in rows if row.is_alternative] == [
        ("who", "with `type` “name”"),
        ("who", "with `type` “number”"),
    ]
    assert [row.name for row in rows][:4] == ["who", "who", "who.type", "who.name"]
    assert "one of" in html


def test_defaults_are_json() -> None:
    _, html = one(Route("POST", "/api/choices", handler, "Choose", "Choices", request=Choice))
    assert 'default ["*"]' in html
    assert "default true" in html


def test_a_body_that_is_a_file_is_described() -> None:
    route = Route(
        "POST",
        "/api/files",
        handler,
        "Upload",
        "Files",
        request=File,
        accepts=("*/*", FORM),
        query=Page,
        query_example={"cursor": "a b"},
        curl_options=("--data-binary @photo.png",),
    )
    api, html = one(route)
    content = api["paths"]["/api/files"]["post"]["requestBody"]["content"]
    assert content[FORM]["schema"]["required"] == ["file"]
    assert "The file itself." in html
    assert "--data-binary @photo.png" in html
    assert "/api/files?cursor=a%20b" in html


def test_an_example_that_is_text_is_sent_as_it_is() -> None:
    route = Route(
        "POST",
        "/api/rows",
        handler,
        "Import",
        "Files",
        request=File,
        accepts=("text/csv",),
        request_examples={"a": "a,b\n1,2\n"},
    )
    assert "--data-binary 'a,b\n1,2\n'" in one(route)[1]

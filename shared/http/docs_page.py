"""The reference page, rendered from an OpenAPI document. Text becomes HTML in `el` alone, and is escaped there."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import orjson

from shared.http.codes import Code
from shared.http.problem import PROBLEM_JSON
from shared.http.routes import JSON
from shared.http.schema_rows import Row, example_of, rows_of, type_of

CSS: Final = Path(__file__).with_name("docs.css").read_text("utf-8")
ORIGIN: Final = "https://origin.invalid"
"""Stands for the scheme and host of whoever asks."""

Api = dict[str, Any]


class Html(str):
    """Markup that needs no escaping any more."""

    __slots__ = ()


def el(name: str, *children: str, **attributes: str) -> Html:
    """An element. Children that are no `Html` are escaped; `class_` and the like lose their underscore."""
    shown = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{shown}>{_joined(children)}</{name}>")


def render(api: Api, document_path: str) -> str:
    """The whole page. `document_path` is where the document itself is served."""
    info = api["info"]
    operations = [(method, path, operation) for path, methods in api["paths"].items() for method, operation in methods.items()]
    by_tag = {tag["name"]: [item for item in operations if tag["name"] in item[2]["tags"]] for tag in api["tags"]}
    index = [_index(tag, items) for tag, items in by_tag.items()]
    sections = [
        el("section", el("h2", tag, id=_slug(tag)), *(_operation(api, *item) for item in items))
        for tag, items in by_tag.items()
    ]
    nav = el(
        "nav",
        el("p", el("a", info["title"], href="#top"), class_="title"),
        *index,
        el("p", el("a", "Errors", href="#errors"), class_="tag"),
    )
    main = el("main", _opening(api, document_path), *sections, _errors())
    head = Html(
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
    )
    page = el("html", el("head", head, el("title", info["title"]), el("style", Html(CSS))), el("body", nav, main), lang="en")
    return f"<!doctype html>\n{page}\n"


def _opening(api: Api, document_path: str) -> Html:
    info = api["info"]
    schemes = [
        el("li", el("b", name), " ", el("code", "Authorization: Bearer …"), " ", _prose(scheme["description"]))
        for name, scheme in api["components"]["securitySchemes"].items()
    ]
    return el(
        "header",
        el("h1", info["title"], " ", el("small", info["version"]), id="top"),
        *(el("p", _prose(part)) for part in info["description"].split("\n\n") if part),
        el("p", "Base URL ", el("code", ORIGIN), " · machine-readable: ", el("a", "OpenAPI 3.1", href=document_path)),
        el("ul", *schemes) if schemes else "",
    )


def _index(tag: str, items: list[tuple[str, str, Api]]) -> Html:
    links = [
        el("li", el("a", _badge(method), el("span", operation["summary"]), href=f"#{operation['operationId']}"))
        for method, _, operation in items
    ]
    return Html(el("p", el("a", tag, href=f"#{_slug(tag)}"), class_="tag") + el("ul", *links))


def _operation(api: Api, method: str, path: str, operation: Api) -> Html:
    parts = [
        el("h3", el("a", operation["summary"], href=f"#{operation['operationId']}")),
        el("p", _badge(method), el("code", path, class_="path"), _access(operation), class_="line"),
        *(el("p", _prose(part)) for part in operation.get("description", "").split("\n\n") if part),
    ]
    if parameters := operation.get("parameters"):
        rows = [
            Row(p["name"], f"{p['in']} · {type_of(p['schema'], api)}", p["required"], p.get("description", ""))
            for p in parameters
        ]
        parts += [el("h4", "Parameters"), _table(rows)]
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(el("h4", "Body ", el("small", media)))
        if rows := list(rows_of(content["schema"], api)):
            parts.append(_table(rows))
        elif described := content["schema"].get("description"):
            parts.append(el("p", _prose(described)))
    parts += [el("h4", "Example"), el("pre", el("code", _curl(api, method, path, operation)))]
    parts += [el("h4", "Answers"), *(_answer(api, status, answer) for status, answer in operation["responses"].items())]
    return el("article", *parts, id=operation["operationId"])


def _answer(api: Api, status: str, answer: Api) -> Html:
    line = (el("b", status, class_=f"status s{status[0]}"), " ", _prose(answer["description"]))
    for media, content in answer.get("content", {}).items():
        if media == PROBLEM_JSON:
            return el("p", *line, " ", el("a", "problem", href="#errors"), class_="answer")
        if rows := list(rows_of(content["schema"], api)):
            return el("details", el("summary", *line, " ", el("small", media)), _table(rows), class_="answer")
    return el("p", *line, class_="answer")


def _table(rows: list[Row]) -> Html:
    return el("div", el("table", *map(_line, rows)), class_="table")


def _line(row: Row) -> Html:
    if row.is_alternative:
        name = (el("code", _breakable(row.name)), " ") if row.name else ()
        return el("tr", el("td", el("i", "one of"), " ", *name, _prose(row.type), colspan="3"), class_="alternative")
    return el(
        "tr",
        el("td", el("code", _breakable(row.name)), *((el("em", "required"),) if row.required else ())),
        el("td", row.type),
        el("td", _prose(row.description)),
    )


def _breakable(path: str) -> Html:
    """A path that may go on in the next line after each of its dots."""
    return Html(escape(path).replace(".", ".<wbr>"))


def _errors() -> Html:
    lines = [
        el("tr", el("td", el("code", code.value)), el("td", _prose(code.sentence))) for code in Code if code != Code.CLIENT_GONE
    ]
    return el(
        "section",
        el("h2", "Errors", id="errors"),
        el(
            "p",
            _prose(
                "Every failure is an `application/problem+json` document (RFC 9457) with `status`, a stable `code`, "
                "a `detail`, `errors` that point to each faulty field, `request_id`, `trace_id` and `retryable`. "
                "Branch on `code`, never on the text. These codes are common to all operations:"
            ),
        ),
        el("div", el("table", *lines), class_="table"),
    )


def _curl(api: Api, method: str, path: str, operation: Api) -> str:
    url = f"{ORIGIN}{path}"
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            url = url.replace(f"{{{parameter['name']}}}", f"${parameter['name'].upper()}")
    asked = [p for p in operation.get("parameters", ()) if p["in"] == "query" and "example" in p]
    url += "?" * bool(asked) + "&".join(f"{p['name']}={quote(p['example'], safe='$:')}" for p in asked)
    lines = [f'curl "{url}"' if method == "get" else f'curl -X {method.upper()} "{url}"']
    if operation["security"]:
        lines.append('-H "Authorization: Bearer $CHASQUI_KEY"')
    if options := operation.get("x-curl-options"):
        return " \\\n  ".join([*lines, *options])
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        examples = [example["value"] for example in content.get("examples", {}).values()]
        example = examples[0] if examples else example_of(content["schema"], api)
        body = example if media != JSON and isinstance(example, str) else orjson.dumps(example).decode()
        lines += [f"-H 'Content-Type: {media}'", f"--data-binary {shlex.quote(body)}"]
        break
    return " \\\n  ".join(lines)


def _access(operation: Api) -> Html | str:
    names = [name for requirement in operation["security"] for name in requirement]
    return el("span", " or ".join(names) if names else "public", class_="access")


def _badge(method: str) -> Html:
    return el("b", method.upper(), class_=f"method {method}")


def _prose(text: str) -> Html:
    """Text in which `this` is code."""
    return Html("".join(el("code", part) if index % 2 else escape(part) for index, part in enumerate(text.split("`"))))


def _joined(children: tuple[str, ...]) -> str:
    return "".join(_markup(children))


def _markup(children: tuple[str, ...]) -> Iterator[str]:
    for child in children:
        yield child if isinstance(child, Html) else escape(child)


def _slug(text: str) -> str:
    return "tag-" + "-".join(text.lower().split())

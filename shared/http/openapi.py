"""The OpenAPI 3.1 document of a server, made from its routes and their pydantic models."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from shared.http.problem import PROBLEM_JSON, Problem, phrase
from shared.http.requests import IDEMPOTENCY_KEY_PATTERN
from shared.http.routes import FORM, JSON, NDJSON, Access, Route

_REF: Final = "#/components/schemas/{model}"
_SECURITY: Final[Mapping[Access, list[dict[str, list[str]]]]] = {
    Access.PUBLIC: [],
    Access.TENANT: [{"apiKey": []}],
    Access.INTERNAL: [{"internalToken": []}],
    Access.GRAPH: [{"apiKey": []}],
    Access.LIVE: [{"apiKey": []}],
    Access.ADMIN: [{"adminKey": []}],
    Access.SERVICE: [{"internalToken": []}],
}
_SCHEMES: Final[Mapping[str, dict[str, str]]] = {
    "apiKey": {"type": "http", "scheme": "bearer", "description": "A tenant's API key: `chq_live_…` or `chq_test_…`."},
    "adminKey": {"type": "http", "scheme": "bearer", "description": "An operator's key: `chq_admin_…`."},
    "internalToken": {"type": "http", "scheme": "bearer", "description": "The token that the platform's services share."},
}
_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Repeats of a request under one key within 48 hours have one effect and get one answer.",
    "schema": {"type": "string", "pattern": f"^{IDEMPOTENCY_KEY_PATTERN}$"},
}
_PROBLEM_DETAILS: Final[Mapping[int, str]] = {
    400: "The request is not HTTP, or its body not JSON.",
    401: "The key or token is missing or wrong.",
    403: "The key or token may not do this.",
    404: "There is no such thing.",
    408: "The body came too slowly.",
    409: "A request under this Idempotency-Key is still running.",
    413: "The body is too large.",
    415: "The body is not of a media type this operation takes.",
    422: "Fields are wrong; `errors` names each.",
    429: "Too many requests; wait for `Retry-After`.",
    500: "Our fault; logged under `request_id`.",
    503: "Not available now; try again after `Retry-After`.",
}
_RETRY_AFTER: Final = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}


def document(
    routes: Sequence[Route], *, title: str, version: str, description: str = "", prefix: str = "/api"
) -> dict[str, Any]:
    """The document, ready for JSON. Paths stand whole; `prefix` only shortens the operations' names.

    Raises ValueError where two operations have one method and path.
    """
    routes = [route for route in routes if route.documented]
    schemas, components = _schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operations = paths.setdefault(route.template, {})
        if route.method.lower() in operations:
            raise ValueError(f"{route.method} {route.template} is declared twice")
        operations[route.method.lower()] = _operation(route, prefix, schemas, components)
    used = {scheme for route in routes for requirement in _SECURITY[route.access] for scheme in requirement}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": description},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {
            "schemas": {name: components[name] for name in sorted(_reachable([paths], components))},
            "securitySchemes": {name: scheme for name, scheme in _SCHEMES.items() if name in used},
        },
    }


_Schemas = Mapping[Any, dict[str, Any]]
"""References by model and mode."""


def _schemas(routes: Sequence[Route]) -> tuple[_Schemas, dict[str, Any]]:
    """The references, and what they refer to. Requests refuse unknown fields at every depth, whatever their models say."""
    requests: list[tuple[type[BaseModel], JsonSchemaMode]] = []
    answers: list[tuple[type[BaseModel], JsonSchemaMode]] = [(Problem, "serialization")]
    for route in routes:
        requests += [(model, "validation") for model in (route.request, route.query) if model is not None]
        answers += [(model, "serialization") for model in route.responses.values() if model is not None]
    references, definitions = models_json_schema(list(dict.fromkeys(requests + answers)), ref_template=_REF)
    components: dict[str, Any] = definitions.get("$defs", {})
    for name in _reachable([references[item] for item in requests], components):
        schema = components[name]
        if schema.get("type") == "object" and "properties" in schema:
            schema["additionalProperties"] = False
    return references, components


def _reachable(roots: Sequence[Any], components: Mapping[str, Any]) -> set[str]:
    names: set[str] = set()
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            reference = node.get("$ref")
            if isinstance(reference, str) and (name := reference.rpartition("/")[2]) not in names:
                names.add(name)
                waiting.append(components[name])
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return names


def _operation(route: Route, prefix: str, schemas: _Schemas, components: Mapping[str, Any]) -> dict[str, Any]:
    slug = re.sub(r"[^A-Za-z0-9]+", "_", route.template.removeprefix(prefix)).strip("_")
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}_{slug}",
        "summary": route.summary,
        "tags": [route.tag],
        "security": _SECURITY[route.access],
        "responses": _responses(route, schemas),
    }
    if route.description:
        operation["description"] = route.description
    if parameters := _parameters(route, schemas, components):
        operation["parameters"] = parameters
    if route.request is not None:
        content: dict[str, Any] = {"schema": schemas[route.request, "validation"]}
        if route.request_examples:
            content["examples"] = {name: {"value": value} for name, value in route.request_examples.items()}
        operation["requestBody"] = {
            "required": not route.is_body_optional,
            "content": {
                media: content if media == JSON else _other_content(media, content, components) for media in route.accepts
            },
        }
    if route.curl_options:
        operation["x-curl-options"] = list(route.curl_options)
    return operation


def _other_content(media: str, content: Mapping[str, Any], components: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a media type that is not JSON."""
    if media == FORM:
        file = {"type": "string", "format": "binary", "description": "The file, with its name and media type."}
        return {"schema": {"type": "object", "required": ["file"], "properties": {"file": file}}}
    if media == NDJSON:
        return {"schema": {"type": "string", "description": "A line for each item of the array."}}
    model = components[content["schema"]["$ref"].rpartition("/")[2]]
    schema = {"type": "string", "format": "binary", "description": model.get("description", "")}
    texts = {name: one for name, one in content.get("examples", {}).items() if isinstance(one["value"], str)}
    return {"schema": schema, "examples": texts} if texts else {"schema": schema}


def _parameters(route: Route, schemas: _Schemas, components: Mapping[str, Any]) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = []
    for name, pattern in route.parameters.items():
        schema: dict[str, Any] = {"type": "string", "minLength": 1}
        if pattern:
            schema["pattern"] = f"^{pattern}$"
        parameters.append({"name": name, "in": "path", "required": True, "schema": schema})
    if route.query is not None:
        model = components[schemas[route.query, "validation"]["$ref"].rpartition("/")[2]]
        for name, schema in model.get("properties", {}).items():
            shown = {key: value for key, value in schema.items() if key not in {"description", "title"}}
            parameter = {"name": name, "in": "query", "required": name in model.get("required", ()), "schema": shown}
            if "description" in schema:
                parameter["description"] = schema["description"]
            if name in route.query_example:
                parameter["example"] = route.query_example[name]
            parameters.append(parameter)
    if route.idempotent:
        parameters.append(dict(_IDEMPOTENCY_KEY))
    return parameters


def _responses(route: Route, schemas: _Schemas) -> dict[str, Any]:
    answers: dict[int, dict[str, Any]] = {}
    for status in sorted({*route.responses, *_problem_statuses(route)}):
        model = route.responses.get(status, Problem)
        answer: dict[str, Any] = {"description": phrase(status)}
        if model is Problem:
            answer["description"] = _PROBLEM_DETAILS.get(status, phrase(status))
            answer["content"] = {PROBLEM_JSON: {"schema": schemas[Problem, "serialization"]}}
        elif model is not None:
            answer["content"] = {route.produces: {"schema": schemas[model, "serialization"]}}
        elif route.produces != JSON:
            answer["content"] = {route.produces: {"schema": {"type": "string"}}}
        if status in {429, 503}:
            answer["headers"] = _RETRY_AFTER
        answers[status] = answer
    return {str(status): answer for status, answer in answers.items()}


def _problem_statuses(route: Route) -> set[int]:
    """Problems that the server itself answers on such a route."""
    statuses = {400, 500, 503}
    if route.access is not Access.PUBLIC:
        statuses |= {401, 403}
    if route.parameters:
        statuses |= {404}
    if route.request is not None:
        statuses |= {408, 413, 415, 422}
    if route.query is not None:
        statuses |= {422}
    if route.idempotent:
        statuses |= {409, 422}
    return statuses

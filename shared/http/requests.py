"""Requests in: bodies read within their limit, checked in one pass by pydantic, refused with a pointer to each fault."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar, cast, get_origin

from aiohttp import ClientPayloadError, web
from aiohttp.web_protocol import RequestPayloadError
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError, PydanticKnownError, from_json

from shared.errors import FieldError, Rejected
from shared.http.codes import Code
from shared.http.faults import faults_of, is_suspect, pointer_to, text_fault, unstorable
from shared.http.routes import JSON, ROUTE

M = TypeVar("M", bound=BaseModel)

BODY_SECONDS: Final = 30.0
"""Longest time a body may take to come; large uploads are streamed by their own handlers."""

IDEMPOTENCY_KEY_PATTERN: Final = "[!-~]{1,255}"
_IDEMPOTENCY_KEY: Final = re.compile(IDEMPOTENCY_KEY_PATTERN)
SANE_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
"""What may stand in a Host header, so that it can be told again."""
_NUMBER: Final = re.compile(r"\s*[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?\s*")
_KNOWN_JSON: Final = frozenset({"application/json", "application/json; charset=utf-8", "application/json;charset=utf-8"})


def _in_range(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError(Code.FIELD_OUT_OF_RANGE.value, "is outside the years 1 to 9999 in UTC") from None


_OFFSET_TIME: Final = TypeAdapter(AwareDatetime)


def _written_out(value: object) -> object:
    if not isinstance(value, str):
        return value
    if _NUMBER.fullmatch(value):
        raise PydanticCustomError(Code.FIELD_FORMAT.value, "must be a time with its offset, as 2026-12-01T10:00:00+01:00")
    try:
        return _OFFSET_TIME.validate_python(value)
    except ValidationError as error:
        (fault,) = error.errors(include_url=False)
        raise PydanticKnownError(cast("Any", fault["type"]), fault.get("ctx")) from None


Moment = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_in_range)]
"""A time with an offset, written out and turned to UTC. pydantic alone would take "1700000000" and "1.7e9" for seconds since 1970,
and 0001-01-01T00:00:00+01:00, which a database driver does not."""


async def read_model(request: web.Request, model: type[M]) -> M:
    """The JSON body as a `model`.

    Types are strict (no "5" for 5) and unknown fields refused at every depth, whatever the model says of itself. Raises
    `Rejected`: 400 for what is not JSON, 408, 413, 415, and 422 with one `FieldError` per fault. A model's validators can name
    a code of their own with `PydanticCustomError("thing.wrong", "what is wrong")`; the code must hold a dot.
    """
    return validate(model, await read_body(request, (JSON,)))


def validate(model: type[M], data: bytes, pointer: str = "") -> M:
    """`data` as a `model`, or `Rejected` as `read_model` says. `pointer` goes before those of the faults: "/3" for line 3."""
    if not data.strip():
        raise Rejected(Code.BODY_EMPTY, Code.BODY_EMPTY.sentence, status=400)
    _check_utf8(data)
    try:
        value = model.model_validate_json(data, strict=True, extra="forbid")
    except ValidationError as error:
        raise _rejection(error, data, pointer) from None
    if is_suspect(data) and (faults := unstorable(data)):
        raise _invalid([FieldError(pointer + fault.pointer, fault.code, fault.detail) for fault in faults])
    return value


def read_query(request: web.Request, model: type[M]) -> M:
    """The query parameters as a `model`: values are parsed ("5" is 5), unknown names refused, lists are given by repetition.

    Raises `Rejected` 422.
    """
    values: dict[str, Any] = {}
    faults: list[FieldError] = []
    for name in request.query:
        if name in values:
            continue
        given = request.query.getall(name)
        fault = text_fault(name) or next((found for text in given if (found := text_fault(text))), None)
        if fault:
            faults.append(FieldError(pointer_to((name,)), Code.FIELD_BAD_TEXT, fault))
        values[name] = given if _is_list(model, name) else given[0]
        if len(given) > 1 and not _is_list(model, name):
            faults.append(FieldError(pointer_to((name,)), Code.FIELD_REPEATED, "must be given once"))
    if faults:
        raise _invalid(faults, "The query")
    try:
        return model.model_validate(values, extra="forbid")
    except ValidationError as error:
        raise _invalid(faults_of(error, values), "The query") from None


def read_idempotency_key(request: web.Request) -> str | None:
    """The `Idempotency-Key` header, None where there is none. Raises `Rejected` 400 where it is malformed."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise Rejected(Code.IDEMPOTENCY_KEY_INVALID, Code.IDEMPOTENCY_KEY_INVALID.sentence, status=400)
    return key


async def read_body(request: web.Request, accepts: tuple[str, ...] | None = None) -> bytes:
    """The raw body, within the route's limit and `BODY_SECONDS`; what is over the limit is not kept in memory.

    `accepts` are media types, by default the route's; an empty tuple takes any. Raises `Rejected` 400, 408, 413 or 415.
    """
    route = request[ROUTE]
    if request.can_read_body or ("Content-Type" in request.headers and not route.is_body_optional):
        _check_media_type(request, route.accepts if accepts is None else accepts)
    limit = route.body_limit_bytes
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    stream = request.content
    if stream.is_eof():  # it came with the headers, as most do
        data = stream.read_nowait(-1)
        if len(data) > limit:
            raise _too_large(limit)
        return data
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while part := await stream.readany():
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
    except TimeoutError:
        raise Rejected(Code.REQUEST_TIMED_OUT, Code.REQUEST_TIMED_OUT.sentence, status=408) from None
    except (RequestPayloadError, ClientPayloadError, ConnectionError):  # broken chunks, or the client went away
        raise Rejected(Code.REQUEST_INCOMPLETE, Code.REQUEST_INCOMPLETE.sentence, status=400) from None
    return b"".join(parts)


def _too_large(limit: int) -> Rejected:
    return Rejected(Code.BODY_TOO_LARGE, f"The body is over this path's limit of {limit} bytes.", status=413)


def _check_media_type(request: web.Request, accepts: tuple[str, ...]) -> None:
    # An encoded body could be a thousand times its size; nothing we take is worth that.
    encoding = request.headers.get("Content-Encoding", "identity")
    given = request.headers.get("Content-Type", "")
    if encoding == "identity" and (not accepts or (given in _KNOWN_JSON and JSON in accepts)):
        return
    charset = (request.charset or "utf-8").lower()
    if encoding != "identity" or request.content_type not in accepts or charset not in {"utf-8", "utf8"}:
        kind = f" in UTF-8 with Content-Type {' or '.join(accepts)} and" if accepts else ""
        detail = f"Send the body{kind} without Content-Encoding."
        headers = {"Accept-Encoding": "identity"} if encoding != "identity" else {}
        raise Rejected(Code.MEDIA_TYPE_UNSUPPORTED, detail, status=415, headers=headers)


def _check_utf8(data: bytes) -> None:
    if data.isascii():
        return
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise Rejected(Code.BODY_NOT_UTF8, f"The body is not UTF-8: byte {error.start} is wrong.", status=400) from None


def _rejection(error: ValidationError, data: bytes, pointer: str) -> Rejected:
    first = error.errors(include_url=False, include_input=False)[0] if error.error_count() == 1 else None
    if first is not None and first["type"] == "json_invalid":
        try:
            # Half a surrogate pair is a fault of one field to us; the fast parser calls the whole document broken.
            if b"\\u" in data and (faults := unstorable(data)):
                return _invalid([FieldError(pointer + fault.pointer, fault.code, fault.detail) for fault in faults])
        except (ValueError, RecursionError):
            pass  # broken, as the fast parser said
        reason = first["ctx"]["error"]
        where = f" (at {pointer})" if pointer else ""
        return Rejected(Code.BODY_NOT_JSON, f"The body is not valid JSON{where}: {reason}.", status=400)
    return _invalid(faults_of(error, from_json(data), pointer))


def _invalid(faults: list[FieldError], whole: str = "The body") -> Rejected:
    """`whole` is what a fault without a pointer is of."""
    first = f"{faults[0].pointer or whole} {faults[0].detail}".removesuffix(".")
    detail = f"{first}." if len(faults) == 1 else f"{first}; {len(faults) - 1} more in errors."
    return Rejected(Code.REQUEST_INVALID, detail, errors=faults)


def _is_list(model: type[BaseModel], name: str) -> bool:
    field = model.model_fields.get(name)
    return field is not None and (field.annotation is list or get_origin(field.annotation) in {list, tuple, set, frozenset})

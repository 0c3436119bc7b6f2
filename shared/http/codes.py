"""The codes of problems that every service can answer. Stable: callers branch on them, the docs page explains them."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Code(StrEnum):
    """Each with a sentence its reader can act on, in `sentence`."""

    sentence: str

    def __new__(cls, value: str, sentence: str) -> Self:
        code = str.__new__(cls, value)
        code._value_ = value
        code.sentence = sentence
        return code

    REQUEST_MALFORMED = "request.malformed", "The request is not valid HTTP."
    REQUEST_TARGET_TOO_LONG = "request.target_too_long", "The path with its query is too long; `detail` says what fits."
    REQUEST_HEADERS_TOO_LARGE = "request.headers_too_large", "The headers are too large; `detail` says what fits."
    REQUEST_INVALID = "request.invalid", "Some fields are wrong; `errors` names each."
    REQUEST_INCOMPLETE = "request.incomplete", "The connection broke before the whole body had come."
    REQUEST_TIMED_OUT = "request.timed_out", "The body came too slowly; send it again."
    ROUTE_UNKNOWN = "route.unknown", "There is no such path, or an id in it has not the right form; see the API reference."
    METHOD_NOT_ALLOWED = "method.not_allowed", "This path does not take this method; `Allow` lists those it takes."

    BODY_EMPTY = "body.empty", "A body is required."
    BODY_NOT_UTF8 = "body.not_utf8", "The body is not UTF-8."
    BODY_NOT_JSON = "body.not_json", "The body is not valid JSON; `detail` says where it breaks."
    BODY_TOO_LARGE = "body.too_large", "The body is over this path's limit; split it."
    MEDIA_TYPE_UNSUPPORTED = (
        "media_type.unsupported",
        "Send `Content-Type: application/json`, in UTF-8, without Content-Encoding.",
    )

    IDEMPOTENCY_KEY_INVALID = (
        "idempotency_key.invalid",
        "An Idempotency-Key has 1 to 255 printable ASCII characters, no spaces.",
    )

    FIELD_MISSING = "field.missing", "A required field is missing."
    FIELD_UNKNOWN = "field.unknown", "No such field; check its spelling."
    FIELD_TYPE = "field.type", "The value has the wrong JSON type."
    FIELD_FORMAT = "field.format", "The value does not have the expected form."
    FIELD_CHOICE = "field.choice", "The value is none of those allowed."
    FIELD_TOO_LONG = "field.too_long", "The value is too long."
    FIELD_TOO_SHORT = "field.too_short", "The value is too short."
    FIELD_OUT_OF_RANGE = "field.out_of_range", "The number is outside its range."
    FIELD_BAD_TEXT = "field.bad_text", "The text holds U+0000 or half a surrogate pair, which cannot be stored."
    FIELD_REPEATED = "field.repeated", "A parameter that takes one value was given several."
    FIELD_INVALID = "field.invalid", "The value cannot be taken."

    CLIENT_GONE = "client.gone", "The caller closed the connection; seen in logs only."
    UNAVAILABLE = "unavailable", "A part of the platform is away; nothing was accepted, try again after `Retry-After`."
    INTERNAL = "internal", "Our fault, and logged under this request id."

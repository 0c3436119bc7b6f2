"""What the parts of a content are made of. Limits are the provider's: WhatsApp Cloud API, messages reference, read 2026-11."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StrictFloat,
    StrictStr,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from shared.free_json import json_faults
from shared.personal import REDACTED, Model

LONGEST_LINK: Final = 2_000
LONGEST_TEXT: Final = 4_096
LONGEST_MESSAGE_NAME: Final = 512
VARIABLE: Final = "{{"
"""What begins with it gets its value when a template, a draft or a campaign is filled in, and is looked at then."""
AS_IT_STANDS: Final = {"is_filled": True}
"""Validation context of a content that nobody will fill in."""
_BLANK: Final = re.compile(r"[\s\x00-\x1f\x7f]")
_SCHEMES: Final = ("https", "http")
_DEGREES: Final = re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]*)?")
_MEDIA_ID: Final = r"^(med_[0-9a-v]{26}|[0-9]{1,40})$"
_MESSAGE_NAME: Final = rf"^[!-~]{{1,{LONGEST_MESSAGE_NAME}}}$"


class Part(Model):
    """A piece of what a message says. All of it may be personal: its `repr` shows which fields there are, and no value."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, coerce_numbers_to_str=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, value if value is None or isinstance(value, Part) else REDACTED


@dataclass(frozen=True, slots=True)
class Measured:
    """A text of so many characters. One that holds a variable is measured once that is filled in, `AS_IT_STANDS`.

    Everything but texts that are too long stays in pydantic's own code: each message goes through here.
    """

    most: int
    least: int = 1

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        fits = core_schema.str_schema(max_length=self.most)
        later = core_schema.with_info_plain_validator_function(_left_to_a_variable)
        return core_schema.chain_schema(
            [
                core_schema.str_schema(min_length=self.least),
                core_schema.union_schema(
                    [fits, later],
                    mode="left_to_right",
                    custom_error_type="string_too_long",
                    custom_error_context={"max_length": self.most},
                ),
                core_schema.str_schema(),
            ]
        )

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(core_schema.str_schema(min_length=self.least or None, max_length=self.most))


def _left_to_a_variable(text: str, info: ValidationInfo) -> str:
    if info.context == AS_IT_STANDS or VARIABLE not in text:
        raise ValueError
    return text


def _link(text: str) -> str:
    if text.startswith(VARIABLE):
        return text
    fault = PydanticCustomError("link.invalid", "must be a URL that begins with https:// or http:// and names a host")
    if _BLANK.search(text):
        raise fault
    try:
        parts = urlsplit(text)
    except ValueError:
        raise fault from None
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise fault
    return text


def lowered(value: Any) -> Any:
    """The provider takes some of its words in any case."""
    return value.lower() if isinstance(value, str) else value


def free_json(value: dict[str, Any]) -> dict[str, Any]:
    """What the provider's other products define, and every hop can carry."""
    fault = next(json_faults(value, ""), None)
    if fault is not None:
        raise PydanticCustomError(fault.code, "{detail}", {"detail": fault.detail})
    return value


def _coordinate(limit: int) -> Any:
    """A latitude or a longitude, as a number or as text."""

    def check(value: float | str) -> float | str:
        if isinstance(value, str) and value.startswith(VARIABLE):
            return value
        is_number = not isinstance(value, str) or _DEGREES.fullmatch(value) is not None
        if not is_number or not -limit <= float(value) <= limit:
            raise PydanticCustomError("location.out_of_range", f"must be a number of degrees from -{limit} to {limit}")
        return value

    return AfterValidator(check)


Text20 = Annotated[str, Measured(20)]
Text24 = Annotated[str, Measured(24)]
Text60 = Annotated[str, Measured(60)]
Text1024 = Annotated[str, Measured(1024)]
Text4096 = Annotated[str, Measured(LONGEST_TEXT)]
Caption = Annotated[str, Measured(1024, least=0), AfterValidator(lambda text: text or None)]
"""An empty one is none: many clients have the field always there."""
Line = Annotated[str, StringConstraints(max_length=1000)]
"""A text of which the provider names no limit."""
Word = Annotated[str, StringConstraints(min_length=1, max_length=256)]
"""A name or an id of which the provider names no limit."""
Link = Annotated[str, Measured(LONGEST_LINK), AfterValidator(_link)]
MediaId = Annotated[str, StringConstraints(pattern=_MEDIA_ID)]
"""A file of ours, or the provider's own id."""
MessageName = Annotated[str, StringConstraints(pattern=_MESSAGE_NAME)]
"""A message of ours by its id (`msg_…`), or any by the provider's."""
Whole = Annotated[int, Field(ge=-(2**53), le=2**53)]
"""A number that every reader of JSON has exactly."""
FreeJson = Annotated[dict[str, Any], AfterValidator(free_json)]
Degrees = Annotated[StrictFloat | StrictStr, WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}]})]
Latitude = Annotated[Degrees, _coordinate(90)]
Longitude = Annotated[Degrees, _coordinate(180)]
Cased = BeforeValidator(lowered)

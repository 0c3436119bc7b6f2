"""What the parts of a content are made of. Limits are the provider's: WhatsApp Cloud API, messages reference, read 2026-11."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictFloat,
    StrictStr,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from shared.free_json import json_faults
from shared.personal import REDACTED, Model

LONGEST_LINK: Final = 2_000
LONGEST_MESSAGE_NAME: Final = 512
VARIABLE: Final = "{{"
"""What begins with it gets its value when a template, a draft or a campaign is filled in, and is looked at then."""
_BLANK: Final = re.compile(r"[\s\x00-\x1f\x7f]")
_DEGREES: Final = re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]*)?")
_MEDIA_ID: Final = r"^(med_[0-9a-v]{26}|[0-9]{1,40})$"
_MESSAGE_NAME: Final = rf"^[!-~]{{1,{LONGEST_MESSAGE_NAME}}}$"


class Part(Model):
    """A piece of what a message says. All of it may be personal: its `repr` shows which fields there are, and no value."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, coerce_numbers_to_str=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, value if value is None or isinstance(value, Part) else REDACTED


def _link(text: str, schemes: tuple[str, ...]) -> str:
    if text.startswith(VARIABLE):
        return text
    fault = PydanticCustomError("link.invalid", f"must be a URL that begins with {schemes[0]}:// and names a host")
    if _BLANK.search(text):
        raise fault
    try:
        parts = urlsplit(text)
    except ValueError:
        raise fault from None
    if parts.scheme not in schemes or not parts.hostname:
        raise fault
    return text


def _https(text: str) -> str:
    return _link(text, ("https",))


def _web(text: str) -> str:
    return _link(text, ("https", "http"))


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


Text20 = Annotated[str, StringConstraints(min_length=1, max_length=20)]
Text24 = Annotated[str, StringConstraints(min_length=1, max_length=24)]
Text60 = Annotated[str, StringConstraints(min_length=1, max_length=60)]
Text1024 = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Text4096 = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Caption = Annotated[str, StringConstraints(max_length=1024), AfterValidator(lambda text: text or None)]
"""An empty one is none: many clients have the field always there."""
Line = Annotated[str, StringConstraints(max_length=1000)]
"""A text of which the provider names no limit."""
Word = Annotated[str, StringConstraints(min_length=1, max_length=256)]
"""A name or an id of which the provider names no limit."""
Link = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_LINK), AfterValidator(_https)]
WebLink = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_LINK), AfterValidator(_web)]
"""Of a button: the user's browser opens it."""
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

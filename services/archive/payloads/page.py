"""Which page of a list is asked for."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from shared.http.requests import Moment

MAX_PAGE: Final = 100


def _written_out(value: object) -> object:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        raise PydanticCustomError("field.format", "must be a time with its offset, as 2026-12-01T10:00:00+01:00")
    return value


_NUMBER: Final = re.compile(r"\s*[+-]?[0-9.]+\s*")
QueryMoment = Annotated[Moment, BeforeValidator(_written_out)]
"""A moment in a query, where pydantic would take a number for seconds since 1970."""


class PageQuery(BaseModel):
    """Which page of a list."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=MAX_PAGE, description="Rows a page has at most.")
    cursor: str | None = Field(
        None, max_length=400, description="`next_cursor` of the page before; nothing for the first page."
    )

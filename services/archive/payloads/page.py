"""Which page of a list is asked for."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

MAX_PAGE: Final = 100


class PageQuery(BaseModel):
    """Which page of a list."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=MAX_PAGE, description="Rows a page has at most.")
    cursor: str | None = Field(
        None, max_length=400, description="`next_cursor` of the page before; nothing for the first page."
    )

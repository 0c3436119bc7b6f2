"""What all lists have in common."""

from __future__ import annotations

from pydantic import Field

from shared.http.bodies import Body


class PageQuery(Body):
    limit: int = Field(50, ge=1, le=500)
    cursor: str | None = Field(None, max_length=200, description="From `next_cursor` of the page before.")

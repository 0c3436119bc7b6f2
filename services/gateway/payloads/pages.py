"""What all bodies and pages have in common."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from shared.personal import Model


class Body(Model):
    """A request body: fields it does not know are refused."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class PageQuery(Body):
    limit: int = Field(50, ge=1, le=500)
    cursor: str | None = Field(None, max_length=200, description="From `next_cursor` of the page before.")

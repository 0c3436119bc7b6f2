"""How long entries are kept."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import BaseModel, Field

MIN_DAYS: Final = 30
MAX_DAYS: Final = 36_500


class RetentionRule(BaseModel):
    """For how long."""

    days: int | None = Field(
        ge=MIN_DAYS,
        le=MAX_DAYS,
        description="Entries that were sent longer ago are removed for good, with their versions and search terms; "
        "null: they are kept for ever, or as long as the platform keeps anything.",
    )


class RetentionPayload(BaseModel):
    """The rule, and what it has done."""

    days: int | None = Field(None, description="After so many days entries are removed; absent: by no rule of yours.")
    removed_entries: int = Field(description="Entries that were removed so far because of their age.")
    removed_at: datetime | None = Field(None, description="When the last of them went.")

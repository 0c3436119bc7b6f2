"""Marking a conversation as read."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from shared.http.requests import Moment


class MarkRead(BaseModel):
    """How far it was read."""

    until: Moment | None = Field(None, description="Entries up to this moment were read; left out: all there are now.")


class ReadMark(BaseModel):
    """How far a conversation was read."""

    conversation_id: str = Field(description="`cnv_…`")
    read_until: datetime = Field(description="Everything up to here was marked as read; it never goes back.")
    unread_count: int = Field(description="Incoming entries that are still unread.")

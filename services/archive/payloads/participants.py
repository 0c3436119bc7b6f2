"""What the gateway asks of participants, before it has them erased."""

from __future__ import annotations

from pydantic import BaseModel, Field

MOST_AT_ONCE = 100


class AskedParticipants(BaseModel):
    """Ids of participants."""

    participant_ids: list[str] = Field(max_length=MOST_AT_ONCE)


class UnknownParticipants(BaseModel):
    """Those of them that the tenant does not have."""

    unknown: list[str]

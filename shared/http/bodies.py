"""What request bodies of several services have in common."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from shared.events.values import Tier
from shared.personal import Model, Personal

MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=40)]
MetadataValue = Annotated[str, StringConstraints(max_length=500)]
VariableName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
VariableValue = Annotated[str, StringConstraints(max_length=4096)]
Variables = Annotated[Personal[dict[VariableName, VariableValue]], Field(max_length=100)]


class Body(Model):
    """A request body: fields it does not know are refused."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Priority(StrEnum):
    CRITICAL = "critical"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @property
    def tier(self) -> Tier:
        return Tier[self.name]

    @classmethod
    def of(cls, tier: int) -> Priority:
        return cls[Tier(tier).name]

"""The bodies of `/api/events`."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AfterValidator, AwareDatetime, Field
from pydantic_core import PydanticCustomError

from shared.events.values import UPDATE_TYPES
from shared.http.bodies import Body
from shared.http.codes import Code
from shared.personal import Model, Personal

MOST_NUMBERS: Final = 100


def _known(name: str) -> str:
    if name not in UPDATE_TYPES:
        raise PydanticCustomError(Code.FIELD_CHOICE.value, "is no type of update")
    return name


UpdateType = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": list(UPDATE_TYPES)})]


class EventsQuery(Body):
    types: list[UpdateType] = Field([], max_length=len(UPDATE_TYPES), description="Only these; by repetition. Left out: all.")
    number_id: list[Annotated[str, Field(pattern=r"^num_[0-9a-v]{26}$")]] = Field(
        [],
        max_length=MOST_NUMBERS,
        description="Only what is about these numbers; by repetition. Left out: all, and what is about none.",
    )
    after: str | None = Field(
        None,
        max_length=64,
        description="Go on after this position: the `id` of the last update that came. The header `Last-Event-ID` wins over it.",
    )
    token: str | None = Field(None, max_length=1_000, description="A ticket, instead of a key.")


class LiveUpdate(Model):
    """An update; the same one has the same id, whichever way it comes."""

    id: str
    type: str
    number_id: str | None = None
    at: AwareDatetime = Field(description="When it happened: the provider's time where it is the provider's news.")
    data: Personal[dict[str, Any]]


class Ticket(Model):
    """Opens the tenant's live updates, and nothing else."""

    token: str = Field(description="For `?token=`.")
    expires_at: AwareDatetime = Field(description="A connection must begin before; it may last longer.")

"""The bodies of `/api/erasures`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from services.gateway.domain.erasure import State
from shared.http.bodies import Body
from shared.personal import Model, Personal

ContactId = Annotated[str, StringConstraints(pattern=r"^ctc_[0-9a-v]{26}$")]
ParticipantId = Annotated[str, StringConstraints(pattern=r"^prt_[0-9a-v]{26}$")]
PARTICIPANTS_LIMIT = 100


class ErasureBody(Body):
    """Who is to be erased: at least one of the fields. What they name together is one person."""

    phone: Personal[str] | None = Field(
        None, min_length=1, max_length=40, description="Phone number with country code.", examples=["+15551234567"]
    )
    user_id: Personal[str] | None = Field(None, min_length=1, max_length=140, description="Business-scoped user id.")
    contact_id: ContactId | None = Field(None, description="A contact; everything that it is called by is erased with it.")
    participant_ids: list[ParticipantId] = Field(
        [],
        max_length=PARTICIPANTS_LIMIT,
        description="People of imported chats and groups in the archive, who may have nothing but a name: what they said is erased "
        "too. Those who have the person's address are found without this.",
    )

    @model_validator(mode="after")
    def _names_somebody(self) -> ErasureBody:
        if not (self.phone or self.user_id or self.contact_id or self.participant_ids):
            raise PydanticCustomError("erasure.nobody", "needs a phone, a user_id, a contact_id or participant_ids")
        return self


class VerifyBody(Body):
    """The address of somebody who was erased: it is not kept, so it has to be given again."""

    phone: Personal[str] | None = Field(None, min_length=1, max_length=40, examples=["+15551234567"])
    user_id: Personal[str] | None = Field(None, min_length=1, max_length=140)


class ErasureView(Model):
    id: str = Field(examples=["ers_06h0000000000000000000000g"])
    state: State = Field(
        description="`running`: not everything is erased yet; `verifying`: it is being counted what there is; `completed`."
    )
    requested_by: str = Field(description="Id of the API key that asked for it.")
    digests: list[str] = Field(
        description="HMAC-SHA256 of each address, in hex: an erased person is not named by this record, but recognised by it."
    )
    contact_ids: list[str]
    participant_ids: list[str]
    erased: dict[str, dict[str, int]] = Field(
        description="How much was erased, by service and kind.",
        examples=[{"archive": {"entries": 214}, "gateway": {"contacts": 1}}],
    )
    remaining: dict[str, dict[str, int]] = Field(
        description="What the last count found; nothing, once it is completed. After a later `verify`: what has come in since."
    )
    code: str | None = Field(None, description="Why it does not go on at the moment, where it does not.")
    created_at: datetime
    completed_at: datetime | None = None
    verified_at: datetime | None = Field(None, description="When it was last counted to the end what there is of the person.")


class ErasurePage(Model):
    data: list[ErasureView]
    next_cursor: str | None = None

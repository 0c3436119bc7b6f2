"""The bodies of `/api/receipts`."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from shared.http.bodies import Body
from shared.personal import Model


class SendReceipt(Body):
    """You have read what somebody wrote, and all before it."""

    from_: str | None = Field(
        None, alias="from", max_length=40, description="Number id; may be left out where the tenant has one number."
    )
    provider_id: str = Field(
        pattern=r"^[!-~]{1,512}$",
        description="The received message's wamid.",
        examples=["wamid.HBgLMTU1NTEyMzQ1NjcVAgASGBQzQUE="],
    )
    typing: bool = Field(False, description="Shows that you are typing, for 25 s or until a message goes out.")


class ReceiptView(Model):
    """The provider has taken it."""

    from_: str = Field(alias="from")
    provider_id: str
    typing: bool

    model_config = ConfigDict(populate_by_name=True)

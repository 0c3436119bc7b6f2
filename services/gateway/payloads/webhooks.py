"""The provider's handshake, and what of its payloads is set aside."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime, ConfigDict, Field

from shared.personal import Model, Personal


class VerifyQuery(Model):
    """Meta's handshake; the names contain dots."""

    model_config = ConfigDict(extra="ignore")

    mode: str = Field(alias="hub.mode", max_length=50)
    challenge: str = Field(alias="hub.challenge", max_length=200)
    verify_token: str = Field(alias="hub.verify_token", max_length=500)


class QuarantinedView(Model):
    """A payload that could not be read whole. What of it was understood has been told all the same."""

    id: str = Field(examples=["whk_184467"])
    reason: str = Field(
        description="Which parts were not understood, the first few by name; or our fault, by the name of an exception."
    )
    size_bytes: int
    received_at: AwareDatetime


class QuarantinedDetail(QuarantinedView):
    payload: Personal[Any] = Field(None, description="As it came, where that is JSON.")
    body_base64: Personal[str | None] = Field(None, description="The bytes that came, where they are no JSON.")


class QuarantinedPage(Model):
    data: list[QuarantinedView]
    next_cursor: str | None = None


class ReplayQuery(Model):
    cursor: str | None = Field(None, max_length=200, description="`next_cursor` of the answer before.")


class Replayed(Model):
    """Payloads that are read again now. What is not understood again is set aside again."""

    replayed: int
    next_cursor: str | None = Field(None, description="There may be more than one request replays; ask again with it.")

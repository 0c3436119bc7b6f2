"""Queries of the provider's handshake."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from shared.personal import Model


class VerifyQuery(Model):
    """Meta's handshake; the names contain dots."""

    model_config = ConfigDict(extra="ignore")

    mode: str = Field(alias="hub.mode", max_length=50)
    challenge: str = Field(alias="hub.challenge", max_length=200)
    verify_token: str = Field(alias="hub.verify_token", max_length=500)

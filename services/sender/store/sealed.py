"""The sender's sealed columns."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from shared.auth.reseal import Sealed
from shared.db.queries import Queries

sql: Final = Queries(Path(__file__).with_name("sealed.sql"))

COLUMNS: Final = (
    Sealed("numbers.sealed_access_token", "numbers.access_token", sql["page_access_tokens"], sql["reseal_access_tokens"]),
    Sealed("callbacks.sealed_secret", "callbacks.secret", sql["page_callback_secrets"], sql["reseal_callback_secrets"]),
    Sealed(
        "callbacks.sealed_previous_secret",
        "callbacks.secret",
        sql["page_previous_callback_secrets"],
        sql["reseal_previous_callback_secrets"],
    ),
    Sealed("callbacks.sealed_verify_token", "callbacks.verify_token", sql["page_verify_tokens"], sql["reseal_verify_tokens"]),
)
"""All there are; a test compares them with the schema."""

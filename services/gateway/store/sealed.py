"""The gateway's sealed columns."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from shared.auth.reseal import Sealed
from shared.db.queries import Queries

sql: Final = Queries(Path(__file__).with_name("sealed.sql"))

COLUMNS: Final = (
    Sealed("numbers.sealed_access_token", "numbers.access_token", sql["page_access_tokens"], sql["reseal_access_tokens"]),
    Sealed("numbers.sealed_app_secret", "numbers.app_secret", sql["page_app_secrets"], sql["reseal_app_secrets"]),
    Sealed(
        "numbers.sealed_previous_app_secret",
        "numbers.app_secret",
        sql["page_previous_app_secrets"],
        sql["reseal_previous_app_secrets"],
    ),
    Sealed("erasures.sealed_person", "erasures.sealed_person", sql["page_sealed_people"], sql["reseal_people"]),
)
"""All there are; a test compares them with the schema."""

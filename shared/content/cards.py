"""Contact cards."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from shared.content.part import Line, Part

MOST_CARDS: Final = 257
"""By the documentation; the provider's own OpenAPI file says 5."""
MOST_ENTRIES: Final = 100
_PARTS: Final = ("first_name", "last_name", "middle_name", "suffix", "prefix")


class CardName(Part):
    """The whole name, and one of its parts at least."""

    formatted_name: Annotated[Line, StringConstraints(min_length=1)]
    first_name: Line | None = None
    last_name: Line | None = None
    middle_name: Line | None = None
    suffix: Line | None = None
    prefix: Line | None = None

    @model_validator(mode="after")
    def _has_part(self) -> Self:
        if not any(getattr(self, name) for name in _PARTS):
            raise PydanticCustomError("contacts.name", f"needs one of {', '.join(_PARTS)} besides formatted_name")
        return self


class CardPhone(Part):
    phone: Line | None = None
    type: Line | None = None
    wa_id: Line | None = None


class CardEmail(Part):
    email: Line | None = None
    type: Line | None = None


class CardUrl(Part):
    url: Line | None = None
    type: Line | None = None


class CardAddress(Part):
    street: Line | None = None
    city: Line | None = None
    state: Line | None = None
    zip: Line | None = None
    country: Line | None = None
    country_code: Line | None = None
    type: Line | None = None


class CardOrganization(Part):
    company: Line | None = None
    department: Line | None = None
    title: Line | None = None


class ContactCard(Part):
    name: CardName
    phones: list[CardPhone] | None = Field(None, max_length=MOST_ENTRIES)
    emails: list[CardEmail] | None = Field(None, max_length=MOST_ENTRIES)
    urls: list[CardUrl] | None = Field(None, max_length=MOST_ENTRIES)
    addresses: list[CardAddress] | None = Field(None, max_length=MOST_ENTRIES)
    org: CardOrganization | None = None
    birthday: str | None = Field(None, pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", examples=["1999-01-23"])


Cards = Annotated[list[ContactCard], Field(min_length=1, max_length=MOST_CARDS)]

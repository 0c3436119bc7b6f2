"""A contact: what they are called by, what is known of them, and how a request changes it. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

from services.gateway.domain.consent import Standing, Word, without_time
from shared.errors import FieldError

Kind = Literal["phone", "user_id", "username"]
KINDS: Final[tuple[Kind, ...]] = ("phone", "user_id", "username")
Identifier = tuple[Kind, str]
Scalar = str | bool | int | float

MAX_ATTRIBUTES: Final = 50
MAX_ATTRIBUTE_NAME: Final = 40
MAX_NAME: Final = 200
MAX_GROUP_NAME: Final = 200
CLOCK_SKEW: Final = timedelta(minutes=5)

# Business-scoped user ids, the parent form with ENT included; usernames without the @ (WhatsApp Cloud API, business-scoped user
# ids, read 2026-11).
_USER_ID: Final = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")
_USERNAME: Final = re.compile(r"[a-z0-9._]{3,35}")
_ASCII_ATTRIBUTE: Final = re.compile(f"[A-Za-z_][A-Za-z0-9_]{{0,{MAX_ATTRIBUTE_NAME - 1}}}")
# BCP 47 without extensions: language, script, region, variants. WhatsApp writes en_US.
_LANGUAGE: Final = re.compile(
    r"([a-z]{2,3})(?:[-_]([a-z]{4}))?(?:[-_]([a-z]{2}|[0-9]{3}))?((?:[-_](?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*)", re.IGNORECASE
)


def parse_user_id(text: str) -> str | None:
    """A business-scoped user id; None for what is none."""
    return text if _USER_ID.fullmatch(text) else None


def parse_username(text: str) -> str | None:
    """A username in lower case without the @; None for what is none."""
    name = text.removeprefix("@").lower()
    return name if _USERNAME.fullmatch(name) else None


def parse_language(text: str) -> str | None:
    """A BCP 47 tag in its usual spelling (`pt-BR`); None for what is none."""
    match = _LANGUAGE.fullmatch(text)
    if match is None:
        return None
    language, script, region, variants = match.groups()
    tag = "-".join(part for part in (language.lower(), script and script.title(), region and region.upper()) if part)
    return tag + variants.lower().replace("_", "-")


def parse_attribute(text: str) -> str | None:
    """An attribute's name, which holds letters, digits and underscores of any script and does not begin with a digit; None for what
    is none."""
    if _ASCII_ATTRIBUTE.fullmatch(text):
        return text
    letters = text.replace("_", "a")
    is_name = all(c.isalnum() or unicodedata.category(c)[0] == "M" for c in letters) and not letters[:1].isdigit()
    return text if is_name and 0 < len(text) <= MAX_ATTRIBUTE_NAME else None


def name_key(name: str) -> str:
    """The name as it is looked for: without case, accents and superfluous blanks."""
    plain = name if name.isascii() else "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return " ".join(plain.casefold().split())[:MAX_NAME]


@dataclass(frozen=True, slots=True, repr=False)
class Contact:
    """Holds personal data, so it has no `repr`."""

    id: str
    identifiers: Mapping[Kind, str]
    name: str | None = None
    language: str | None = None
    time_zone: str | None = None
    attributes: Mapping[str, Scalar] = field(default_factory=dict)
    standing: Standing = field(default_factory=Standing)


@dataclass(frozen=True, slots=True, repr=False)
class Change:
    """What a request says of a contact. A field that is not there stays as it is, None takes it away; attributes one by one.

    `is_timed` False: nobody said when the word was given, its time is only when it came. `time_pointer` is where a request has it.
    """

    identifiers: Mapping[Kind, str | None] = field(default_factory=dict)
    fields: Mapping[Literal["name", "language", "time_zone"], str | None] = field(default_factory=dict)
    attributes: Mapping[str, Scalar | None] = field(default_factory=dict)
    word: Word | None = None
    is_timed: bool = True
    time_pointer: str = "/consent/at"

    @property
    def names(self) -> Sequence[Identifier]:
        """What it calls the contact by."""
        return [(kind, value) for kind, value in self.identifiers.items() if value is not None]

    def word_for(self, contact: Contact) -> Word | None:
        """The word as far as it says something to be kept."""
        if self.word is None or self.is_timed or without_time(contact.standing, self.word):
            return self.word
        return None


def changed(contact: Contact, change: Change, now: datetime) -> Contact | list[FieldError]:
    """The contact afterwards, or why it cannot be. The same change twice makes the same contact as once."""
    faults = []
    identifiers = {**contact.identifiers, **change.identifiers}
    kept: dict[Kind, str] = {kind: value for kind, value in identifiers.items() if value is not None}
    if not kept:
        faults.append(FieldError("", "contact.no_identifier", "needs a phone, a user_id or a username"))
    attributes = contact.attributes
    if change.attributes:
        merged = {**contact.attributes, **change.attributes}
        attributes = {key: value for key, value in merged.items() if value is not None}
        if len(attributes) > MAX_ATTRIBUTES:
            faults.append(FieldError("/attributes", "contact.too_many_attributes", f"a contact has {MAX_ATTRIBUTES} at most"))
    if change.word is not None and change.word.at > now + CLOCK_SKEW:
        faults.append(FieldError(change.time_pointer, "time.in_future", "must not lie in the future"))
    if faults:
        return faults
    word = change.word_for(contact)
    return Contact(
        contact.id,
        kept,
        name=change.fields.get("name", contact.name),
        language=change.fields.get("language", contact.language),
        time_zone=change.fields.get("time_zone", contact.time_zone),
        attributes=attributes,
        standing=contact.standing if word is None else contact.standing.heard(word),
    )

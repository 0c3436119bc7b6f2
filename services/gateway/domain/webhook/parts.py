"""What a payload is understood as: typed parts, each with the change that it stood in and itself as it came.

What came is not copied: `raw` and `contact` are the payload's own objects, with what no database can hold (`values.storable`), but
never deeper than `values.DEEPEST`. Whoever writes them down cleans them first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from services.gateway.domain.template_notice import Notice
from services.gateway.domain.webhook.missed import Missed
from services.gateway.domain.webhook.origin import Origin
from services.gateway.domain.webhook.report import Report
from services.gateway.domain.webhook.values import word


class Kind(StrEnum):
    """The types of messages that are known."""

    TEXT = "text"
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    DOCUMENT = "document"
    STICKER = "sticker"
    LOCATION = "location"
    CONTACTS = "contacts"
    BUTTON = "button"
    INTERACTIVE = "interactive"
    REACTION = "reaction"
    ORDER = "order"
    TEMPLATE = "template"
    REQUEST_WELCOME = "request_welcome"
    MEDIA_PLACEHOLDER = "media_placeholder"
    UNSUPPORTED = "unsupported"
    """And everything that is not known: its object stands beside under its own name."""


MEDIA_KINDS: Final = frozenset({Kind.IMAGE, Kind.VIDEO, Kind.AUDIO, Kind.DOCUMENT, Kind.STICKER})


class Media(NamedTuple):
    """A file that somebody sent, to be asked for by `id` at the provider."""

    id: str
    kind: Kind
    mime_type: str | None
    sha256: str | None
    """Base64 or hex: both are seen."""
    file_name: str | None


class Inbound(NamedTuple):
    """One message somebody wrote to a number. Holds what they wrote, which its `repr` does not show."""

    phone_number_id: str
    wamid: str
    sender: str
    """E.164 with the plus sign, else the business-scoped user id."""
    sender_name: str | None
    content: dict[str, Any]
    at: datetime
    user_id: str | None
    parent_user_id: str | None
    username: str | None
    group_id: str | None
    is_history: bool
    origin: Origin
    raw: Mapping[str, Any]
    contact: Mapping[str, Any] | None

    def __repr__(self) -> str:
        return f"<Inbound {self.wamid}>"

    @property
    def kind(self) -> Kind:
        return Kind(self.content["type"])

    @property
    def media(self) -> Media | None:
        """Its file, where it has one that can be fetched."""
        return media_of(self.content)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Echo:
    """One message that the business wrote in the number's app. Holds what it wrote, so it has no `repr`."""

    phone_number_id: str
    wamid: str
    to: str
    """As `Inbound.sender`; `group:` and the id of a group."""
    content: dict[str, Any]
    at: datetime
    is_history: bool
    origin: Origin
    raw: Mapping[str, Any]
    contact: Mapping[str, Any] | None

    @property
    def media(self) -> Media | None:
        """Its file, where it has one that can be fetched."""
        return media_of(self.content)


def media_of(content: Mapping[str, Any]) -> Media | None:
    """The file of a content that this reader made."""
    kind = Kind(content["type"])
    told = content.get(kind.value) if kind in MEDIA_KINDS else None
    name = word(told.get("id")) if isinstance(told, dict) else None
    if not isinstance(told, dict) or name is None:
        return None
    mime_type, file_name = told.get("mime_type"), told.get("filename")
    return Media(
        name,
        kind,
        mime_type if isinstance(mime_type, str) else None,
        word(told.get("sha256")),
        file_name if isinstance(file_name, str) else None,
    )


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Edit:
    """Somebody changed a message, `wamid`. `name` is the edit's own id."""

    phone_number_id: str
    name: str
    wamid: str
    content: dict[str, Any]
    at: datetime
    origin: Origin
    raw: Mapping[str, Any]
    contact: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Revoke:
    """Somebody took a message back, `wamid`. `name` is the own id of what says so."""

    phone_number_id: str
    name: str
    wamid: str
    at: datetime
    origin: Origin
    raw: Mapping[str, Any]
    contact: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Preference:
    """Somebody has turned WhatsApp's switch for marketing messages of a business. Holds who, so it has no `repr`."""

    phone_number_id: str
    phone: str | None
    user_id: str | None
    name: str | None
    stops: bool
    at: datetime


class IdentityKind(StrEnum):
    PHONE = "phone"
    USER_ID = "user_id"
    IDENTITY = "identity"
    """The device or the app: who it is may have changed too."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class IdentityChange:
    """Somebody is to be called otherwise. `phone` and `user_id` are what else they are known by. Holds who, so it has no `repr`."""

    phone_number_id: str | None
    name: str | None
    """The id of the message that says so; None where a change says it."""
    kind: IdentityKind
    before: str | None
    after: str | None
    phone: str | None
    user_id: str | None
    at: datetime
    origin: Origin
    raw: Mapping[str, Any]
    contact: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class BookEntry:
    """Somebody in the address book of the number's app. Holds who, so it has no `repr`."""

    phone_number_id: str
    phone: str
    full_name: str | None
    is_added: bool
    at: datetime | None


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class FieldChange:
    """What is neither a message nor a report on one: an account's news, a field that nobody knows yet. `value` is whole in itself:
    that of the change, or as it would be if the change said nothing else."""

    origin: Origin
    value: Mapping[str, Any]

    @property
    def field(self) -> str:
        return self.origin.field


class _Told(Protocol):
    @property
    def phone_number_id(self) -> str | None: ...


_Part = TypeVar("_Part", bound=_Told)


@dataclass(slots=True)
class Reading:
    """What was understood of a payload, and what was `missed`."""

    reports: list[Report] = field(default_factory=list)
    inbound: list[Inbound] = field(default_factory=list)
    echoes: list[Echo] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    revokes: list[Revoke] = field(default_factory=list)
    preferences: list[Preference] = field(default_factory=list)
    identities: list[IdentityChange] = field(default_factory=list)
    book: list[BookEntry] = field(default_factory=list)
    templates: list[Notice] = field(default_factory=list)
    changes: list[FieldChange] = field(default_factory=list)
    missed: Missed = field(default_factory=Missed)
    phone_number_ids: set[str] = field(default_factory=set)
    """The numbers that it is about."""

    @property
    def not_understood(self) -> int:
        """How many parts were not."""
        return self.missed.count

    @property
    def parts(self) -> int:
        """How many there are, understood or not."""
        understood = (
            len(self.reports)
            + len(self.inbound)
            + len(self.echoes)
            + len(self.edits)
            + len(self.revokes)
            + len(self.preferences)
        )
        rest = len(self.identities) + len(self.book) + len(self.templates) + len(self.changes)
        return understood + rest + self.not_understood

    @property
    def account_ids(self) -> set[str]:
        """The accounts of parts that name no number: the tenant must have one of theirs."""
        named = {change.origin.account_id for change in self.changes if change.origin.phone_number_id is None}
        named |= {change.origin.account_id for change in self.identities if change.phone_number_id is None}
        return named | {notice.account_id for notice in self.templates}

    def keep_only(self, phone_number_ids: set[str], account_ids: set[str]) -> None:
        """Count the parts about other numbers and accounts as not understood."""
        if self.phone_number_ids <= phone_number_ids and self.account_ids <= account_ids:
            return
        before = self.parts

        def own(parts: Iterable[_Part]) -> list[_Part]:
            return [part for part in parts if part.phone_number_id in phone_number_ids]

        def is_own(origin: Origin) -> bool:
            return (
                origin.account_id in account_ids
                if origin.phone_number_id is None
                else origin.phone_number_id in phone_number_ids
            )

        self.reports, self.inbound, self.echoes = own(self.reports), own(self.inbound), own(self.echoes)
        self.edits, self.revokes, self.preferences = own(self.edits), own(self.revokes), own(self.preferences)
        self.book = own(self.book)
        self.identities = [change for change in self.identities if is_own(change.origin)]
        self.changes = [change for change in self.changes if is_own(change.origin)]
        self.templates = [notice for notice in self.templates if notice.account_id in account_ids]
        if lost := before - self.parts:
            self.missed.add_elsewhere("about a number or an account that is not connected", lost)

"""Who an audience is, a page at a time: the union of all that it names, each phone number once.

Those named in the request come first, in their order, then contacts by id. A page starts where the one before ended, whatever was
added or removed meanwhile: nobody comes twice, and nobody is left out who belonged to it all the time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import asyncpg
import orjson

from services.gateway.domain.consent import Word
from services.gateway.domain.phone import parse_phone, zone_of
from services.gateway.domain.rendering import Fault
from services.gateway.domain.segment import AnyOf, Node, parse
from services.gateway.store import audience as store
from services.gateway.store import kept_opt_outs, segments
from shared.db.pool import Connection
from shared.errors import FieldError
from shared.events.values import Audience, Consent, ConsentScope, NamedRecipient
from shared.ids import TenantId, is_id

_NONE_GIVEN: Final[Mapping[str, str]] = MappingProxyType({})
_CONSENTS: Final = {consent.value: consent for consent in Consent}
_SCOPES: Final = {scope.value: scope for scope in ConsentScope}
_parsed: Final = lru_cache(maxsize=32_768)(parse_phone)
"""The named of an audience are read anew for each of its pages."""

NO_PHONE: Final = Fault("contact.no_phone", "the contact has no phone number")
INVALID_PHONE: Final = Fault("phone.invalid", "must be a phone number with its country code, as in +15551234567")
OPTED_OUT: Final = Fault("contact.opted_out", "the contact does not want to be written to")


@dataclass(frozen=True, slots=True, repr=False)
class Member:
    """One of an audience. Holds personal data, so it has no `repr`."""

    contact_id: str | None
    to: str
    """E.164; as it was given where it is no phone number; the contact's id where the contact has none."""
    zone: str
    name: str | None = None
    language: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    consent: Consent = Consent.UNKNOWN
    consent_scope: ConsentScope = ConsentScope.ALL
    variables: Mapping[str, str] = field(default_factory=dict)
    fault: Fault | None = None
    """Why nothing can be sent to them, as far as it is known without the content."""


@dataclass(frozen=True, slots=True)
class Page:
    """At most as many members as asked for; there may be none although more follow. `next_cursor` None: it is the last page."""

    members: Sequence[Member]
    next_cursor: str | None


async def find_page(
    connection: Connection, tenant_id: TenantId, audience: Audience, *, cursor: str | None, limit: int, default_zone: str
) -> Page | Fault:
    """The page after `cursor`, or why there is no such audience: `group.unknown`, `contact.unknown`, `segment.unknown`,
    `segment.invalid`, `cursor.invalid`. Reads only. `default_zone` is for those whose zone nobody knows."""
    named = _by_phone(audience.recipients)
    place, after = _place(cursor, len(named))
    if place is None:
        return Fault("cursor.invalid", "the cursor is not one that this audience has given")
    fault = await _missing(connection, tenant_id, audience, is_first=cursor is None)
    if fault is not None:
        return fault
    filter_ = await _filter_of(connection, tenant_id, audience)
    if isinstance(filter_, Fault):
        return filter_
    entries = list(named.items())[place : place + limit]
    members = await _named(connection, tenant_id, entries, default_zone) if entries else []
    place += len(entries)
    if place < len(named) or (len(members) == limit and _has_contacts(audience)):
        return Page(members, f"{place}:")
    if not _has_contacts(audience):
        return Page(members, None)
    rest = await _contacts(connection, tenant_id, audience, filter_, after, limit - len(members), named, default_zone)
    return Page([*members, *rest.members], rest.next_cursor)


def _has_contacts(audience: Audience) -> bool:
    return bool(audience.group_ids or audience.contact_ids or audience.segment_id or audience.filter is not None)


def _place(cursor: str | None, names: int) -> tuple[int | None, str]:
    """How many of the named were told, and the last contact that was."""
    if cursor is None:
        return 0, ""
    told, _, after = cursor.partition(":")
    if not told.isascii() or not told.isdigit() or len(told) > 9 or int(told) > names or (after and not is_id(after, "ctc")):
        return None, ""
    return int(told), after


def _by_phone(recipients: Sequence[NamedRecipient]) -> dict[str, NamedRecipient]:
    """Each number once, as its first; what is no number is kept as it is."""
    named: dict[str, NamedRecipient] = {}
    for recipient in recipients:
        named.setdefault(_parsed(recipient.to) or recipient.to, recipient)
    return named


async def _missing(connection: Connection, tenant_id: TenantId, audience: Audience, *, is_first: bool) -> Fault | None:
    """A contact that went since the first page is one recipient less; without its group nobody knows who was meant."""
    contact_ids = audience.contact_ids if is_first else ()
    for kind, prefix, ids in (("group", "grp", audience.group_ids), ("contact", "ctc", contact_ids)):
        if not all(is_id(one, prefix) for one in ids):
            return Fault(f"{kind}.unknown", f"one of the {kind}s does not exist")
    group, contact = await store.unknown(connection, tenant_id, audience.group_ids, contact_ids)
    if group is not None:
        return Fault("group.unknown", f"the group {group} does not exist")
    if contact is not None:
        return Fault("contact.unknown", f"the contact {contact} does not exist")
    return None


async def _filter_of(connection: Connection, tenant_id: TenantId, audience: Audience) -> Node | Fault | None:
    """What must be true of those who are found by a segment or a filter; by both: one of the two."""
    filters: list[object] = [] if audience.filter is None else [audience.filter]
    if audience.segment_id is not None:
        row = await segments.find(connection, tenant_id, audience.segment_id) if is_id(audience.segment_id, "seg") else None
        if row is None:
            return Fault("segment.unknown", "the segment does not exist")
        filters.append(orjson.loads(row["filter"]))
    nodes: list[Node] = []
    for filter_ in filters:
        node = parse(filter_)
        if isinstance(node, FieldError):
            return Fault("segment.invalid", f"the filter's {node.pointer or 'outermost part'} {node.detail}")
        nodes.append(node)
    return AnyOf(tuple(nodes)) if nodes else None


async def _named(
    connection: Connection, tenant_id: TenantId, entries: Sequence[tuple[str, NamedRecipient]], default_zone: str
) -> list[Member]:
    known = {row["phone"]: row for row in await store.by_phone(connection, tenant_id, [phone for phone, _ in entries])}
    strangers = [phone for phone, _ in entries if phone not in known and _parsed(phone) is not None]
    kept = await kept_opt_outs.kept(connection, tenant_id, strangers)
    members: list[Member] = []
    for phone, recipient in entries:
        row = known.get(phone)
        if row is not None:
            members.append(_member(row, default_zone, recipient.variables))
        elif _parsed(phone) is None:
            members.append(Member(None, recipient.to, default_zone, variables=recipient.variables, fault=INVALID_PHONE))
        else:
            members.append(_stranger(phone, kept.get(phone), default_zone, recipient.variables))
    return members


async def _contacts(
    connection: Connection,
    tenant_id: TenantId,
    audience: Audience,
    filter_: Node | None,
    after: str,
    limit: int,
    named: Mapping[str, NamedRecipient],
    default_zone: str,
) -> Page:
    ids, until = set(audience.contact_ids), None
    if filter_ is not None:
        matching, until = await segments.matching(connection, tenant_id, filter_, after=after, limit=limit)
        ids.update(matching)
    rows = await store.wanted(
        connection,
        tenant_id,
        after=after,
        until=until,
        group_ids=list(dict.fromkeys(audience.group_ids)),
        contact_ids=sorted(one for one in ids if one > after and (until is None or one <= until))[:limit],
        limit=limit,
    )
    members = [_member(row, default_zone) for row in rows if row["contact_id"] is not None and row["phone"] not in named]
    last = rows[-1]["id"] if len(rows) == limit else until
    return Page(members, None if last is None else f"{len(named)}:{last}")


def _stranger(phone: str, kept: Word | None, default_zone: str, variables: Mapping[str, str]) -> Member:
    """Somebody who is no contact, or no longer: the opt-out of those who were erased is kept."""
    zone = zone_of(phone) or default_zone
    if kept is None:
        return Member(None, phone, zone, variables=variables)
    fault = OPTED_OUT if kept.scope is ConsentScope.ALL else None
    return Member(None, phone, zone, consent=kept.consent, consent_scope=kept.scope, variables=variables, fault=fault)


def _member(row: asyncpg.Record, default_zone: str, variables: Mapping[str, str] = _NONE_GIVEN) -> Member:
    phone, consent, scope = row["phone"], _CONSENTS[row["consent"]], _SCOPES[row["consent_scope"]]
    fault = None
    if phone is None:
        fault = NO_PHONE
    elif consent is Consent.OPTED_OUT and scope is ConsentScope.ALL:
        fault = OPTED_OUT
    return Member(
        row["contact_id"],
        row["contact_id"] if phone is None else phone,
        row["time_zone"] or (phone and zone_of(phone)) or default_zone,
        row["name"],
        row["language"],
        orjson.loads(row["attributes"]),
        consent,
        scope,
        variables,
        fault,
    )

"""Where an import's entries go, and who its authors are there."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from services.archive.domain.importing import ImportOptions, folded, title_of
from services.archive.domain.reading import CHAT_PREFIX
from services.archive.imports.refusal import Refused
from services.archive.imports.rows import Speaker
from services.archive.store import blocks
from services.archive.store.blocks import Conversation
from services.archive.store.imports import Import
from shared.db.pool import Pool
from shared.ids import new_id

_PHONE: Final = re.compile(r"\+?[0-9][0-9 ()./-]{6,24}")
_TWO: Final = 2


async def conversation_of(pool: Pool, found: Import) -> Conversation:
    """The conversation that the options name, made where it is missing. Raises `Refused` where it is no more."""
    options = found.options
    if found.conversation_id is not None or options.conversation_id is not None:
        known = await blocks.conversation(pool, found.tenant_id, found.conversation_id or options.conversation_id or "")
        if known is None:
            raise Refused("conversation.unknown", "The conversation is not there any more.")
        return known
    fresh = new_id("cnv")
    if options.number_id is not None and options.contact is not None:
        return await blocks.open_conversation(pool, fresh, found.tenant_id, options.number_id, options.contact, None)
    title = options.title or title_of(found.file_name)
    return await blocks.open_conversation(pool, fresh, found.tenant_id, "", f"{CHAT_PREFIX}{folded(title)}", title)


def own_names(options: ImportOptions, survey: Mapping[str, Any], conversation: Conversation) -> frozenset[str]:
    """Folded names of the tenant's own people. Where none is given: in a chat of two, of whom one is the contact, the other one."""
    if options.me:
        return frozenset(folded(name) for name in options.me)
    names = [person["name"] for person in survey["survey"]["people"]]
    others = [name for name in names if not _is_peer(name, conversation)]
    return frozenset({folded(others[0])}) if len(names) == _TWO and len(others) == 1 else frozenset()


def _is_peer(name: str, conversation: Conversation) -> bool:
    address = address_in(name)
    if address is not None:
        return address == conversation.peer
    return conversation.name is not None and folded(name) == folded(conversation.name)


async def speakers(
    pool: Pool, found: Import, conversation: Conversation, names: Sequence[str], own: Collection[str]
) -> list[Speaker]:
    """The speakers with these names, in their order; made where they are missing."""
    keys = [key_of(name) for name in names]
    given = {
        key: (
            new_id("prt"),
            key,
            address_in(name),
            name.replace("\x00", "").encode(errors="replace").decode(),
            folded(name) in own,
        )
        for key, name in zip(keys, names, strict=True)
    }
    known = await blocks.ensure_speakers(pool, found.tenant_no, conversation.number, list(given.values()))
    return [Speaker(*known[key]) for key in keys]


def key_of(name: str) -> str:
    """What a speaker is known by in a conversation."""
    address = address_in(name)
    return f"address:{address}" if address else f"name:{folded(name)}".encode(errors="replace").decode()


def address_in(name: str) -> str | None:
    """The phone number that stands for who is in nobody's address book: `+44 20 7946 0000`."""
    if not _PHONE.fullmatch(name) or not name.startswith("+"):
        return None
    return "+" + "".join(char for char in name if char.isdigit())

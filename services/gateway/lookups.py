"""What a message needs besides its body: the number it goes out from, the contact it goes to, the template that it is of. Looked up
before the transaction that stores it, for all bodies of a request at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.gateway.contents import ContentDirectory, Having
from services.gateway.domain.contact import Contact
from services.gateway.domain.rendering import Fault
from services.gateway.numbers import NumberDirectory
from services.gateway.payloads.messages import NamedTo, SendMessage
from services.gateway.render import Renderer, prepare
from services.gateway.store import contacts as store
from services.gateway.store import graph_ids
from shared.content import content_of
from shared.db.pool import Pool
from shared.errors import FieldError
from shared.events.values import Content, Variant
from shared.ids import NumberId, TenantId, is_id

TEMPLATES_LIMIT: Final = 20
"""Different templates that one request may name."""
_TOO_MANY: Final = Fault("template.too_many", f"is one more than the {TEMPLATES_LIMIT} templates that a request may name")

Numbers = Mapping[str | None, NumberId | FieldError]
"""What each `from` stands for."""


@dataclass(frozen=True, slots=True)
class Known:
    """What was found, by what the bodies name."""

    numbers: Numbers
    contacts: Mapping[str, Contact] = field(default_factory=dict)
    renderers: Mapping[str, Renderer | Fault] = field(default_factory=dict)
    having: Having = field(default_factory=Having)
    wamids: Mapping[str, str] = field(default_factory=dict)
    """Of messages of ours that contents answer, react to or pin, as far as they were sent."""


class Lookups:
    """Finds what bodies name."""

    def __init__(self, pool: Pool, numbers: NumberDirectory, contents: ContentDirectory) -> None:
        self._pool = pool
        self._numbers = numbers
        self._contents = contents

    async def known(self, tenant_id: TenantId, bodies: Sequence[SendMessage]) -> Known:
        """What there is of what they name. Most name a number at most, which is remembered: then nothing is asked."""
        contact_ids: set[str] = set()
        template_ids: dict[str, None] = {}
        contents: list[Content] = []
        named: set[str] = set()
        for body in bodies:
            is_plain = body.is_plain_text
            if isinstance(body.to, NamedTo) and body.to.contact_id is not None:
                contact_ids.add(body.to.contact_id)
            if body.template_id is not None:
                template_ids[body.template_id] = None
            elif not is_plain and isinstance(content := content_of(body.type, body), dict):
                contents.append(content)
            if not is_plain and (message_id := body.names_message) is not None and is_id(message_id, "msg"):
                named.add(message_id)
        numbers = await self._numbers.choose(tenant_id, (body.from_ for body in bodies))
        if not (contact_ids or template_ids or contents or named):
            return Known(numbers)
        contacts = [stored.contact for stored in await store.find(self._pool, tenant_id, sorted(contact_ids))]
        return Known(
            numbers,
            {contact.id: contact for contact in contacts},
            {
                template_id: await self._renderer(tenant_id, template_id) if place < TEMPLATES_LIMIT else _TOO_MANY
                for place, template_id in enumerate(template_ids)
            },
            await self._contents.having(tenant_id, contents),
            await graph_ids.wamids(self._pool, tenant_id, named) if named else {},
        )

    async def _renderer(self, tenant_id: TenantId, template_id: str) -> Renderer | Fault:
        return await prepare(self._pool, tenant_id, "", [Variant(template_id=template_id)])

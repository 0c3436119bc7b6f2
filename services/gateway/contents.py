"""Contents against what the tenant has: the templates they are of, the files they show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from services.gateway.domain import admission
from services.gateway.templates import Shapes, TemplateDirectory, parameter_faults, template_named
from shared.content import media_places, message_place
from shared.content.files import File, file_fault
from shared.content.references import OWN_MEDIA
from shared.errors import FieldError
from shared.events.values import Content
from shared.ids import TenantId

_NO_FILE: Final = "is no file of yours"
_VOICE: Final = "audio/ogg"


class Files(Protocol):
    """The tenants' files."""

    async def known(self, tenant_id: TenantId, ids: Sequence[str], /) -> Mapping[str, File]:
        """What there is of these, by id."""
        ...


@dataclass(frozen=True, slots=True)
class Having:
    """What the tenant has of what some contents name."""

    shapes: Shapes = field(default_factory=dict)
    files: Mapping[str, File] = field(default_factory=dict)


class ContentDirectory:
    """Looks up what contents name, for all contents of a request at once. Nothing is asked for a plain text."""

    def __init__(self, templates: TemplateDirectory, files: Files) -> None:
        self._templates = templates
        self._files = files

    async def having(self, tenant_id: TenantId, contents: Iterable[Content]) -> Having:
        """What the tenant has of it."""
        names: set[tuple[str, str]] = set()
        ids: dict[str, None] = {}
        for content in contents:
            named = template_named(content)
            if named is not None:
                names.add(named)
            ids.update(dict.fromkeys(own_files(content)))
        return Having(
            await self._templates.known(tenant_id, names) if names else {},
            await self._files.known(tenant_id, list(ids)) if ids else {},
        )


def own_files(content: Content) -> Iterator[str]:
    """The ids of the tenant's files in a content."""
    for place in media_places(content):
        media_id = place.part.get("id")
        if isinstance(media_id, str) and media_id.startswith(OWN_MEDIA):
            yield media_id


def having_faults(content: Content, having: Having) -> list[FieldError]:
    """What the provider would refuse of a content, knowing what it names."""
    return [*parameter_faults(having.shapes, content), *_file_faults(content, having.files)]


def named_for_long(content: Content, wamids: Mapping[str, str], at: datetime) -> Content:
    """The content with the provider's name of the message that it answers, where the sender will not know that any more."""
    place = message_place(content)
    if place is None:
        return content
    part, name = place[0], place[1].removeprefix("/")
    wamid = wamids.get(part["message_id"])
    if wamid is None or not admission.is_forgotten(part["message_id"], at):
        return content
    return {**content, name: {**part, "message_id": wamid}}


def _file_faults(content: Content, files: Mapping[str, File]) -> Iterator[FieldError]:
    for kind, part, pointer in media_places(content):
        media_id = part.get("id")
        if not isinstance(media_id, str) or not media_id.startswith(OWN_MEDIA):
            continue
        file = files.get(media_id)
        if file is None:
            yield FieldError(f"{pointer}/id", "media.unknown", _NO_FILE)
        elif (fault := file_fault(kind, file)) is not None:
            yield FieldError(f"{pointer}/id", *fault)
        elif part.get("voice") is True and not file.mime_type.startswith(_VOICE):
            yield FieldError(f"{pointer}/voice", "media.wrong_type", f"a voice message is {_VOICE} with Opus, mono")

"""The files that came with entries, from where they are kept."""

from __future__ import annotations

from collections.abc import AsyncIterator

from services.archive.domain.exported import ExportedEntry
from shared.ids import TenantId, is_id
from shared.objects.store import NoObject, ObjectStore


class Media:
    """Opens a tenant's files."""

    def __init__(self, objects: ObjectStore, tenant: TenantId) -> None:
        self._objects = objects
        self._tenant = tenant

    async def open(self, entry: ExportedEntry) -> AsyncIterator[bytes] | None:
        """The bytes of an entry's file; None where there is none, or none any more. Raises `ObjectsAway`."""
        media = entry.media or {}
        key = media.get("object_key")
        if key is None and is_id(media_id := str(media.get("media_id")), "med"):
            key = f"media/{self._tenant}/{media_id}"  # where the gateway keeps what came with messages
        if not isinstance(key, str):
            return None
        try:
            return await self._objects.get(key)
        except NoObject:
            return None


def has_file(entry: ExportedEntry) -> bool:
    """Whether a file was kept with it."""
    media = entry.media or {}
    return "media_id" in media or "file_id" in media

"""Where files are kept: a folder, or a bucket of an S3-compatible store, with the same promises.

A file is there whole or not at all, and durable once `put` has returned: S3 promises that by itself, in a folder the file and its
directories are flushed to the disk. Keys are relative paths of plain segments (`media/tnt_…/med_…`), made by us, never by a
caller's text.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from shared.config import ObjectsSettings

PART_BYTES: Final = 5 * 1024 * 1024
"""S3's smallest part of an upload in parts; what is smaller goes up in one request."""
READ_BYTES: Final = 256 * 1024
_UPLOADS_AT_ONCE: Final = 2
"""Parts of one file: its share of memory is as many times `PART_BYTES`."""
_REQUEST_SECONDS: Final = 120
_RETRY_SECONDS: Final = 20
_RETRIES: Final = 4


class ObjectsAway(OSError):
    """The store cannot be reached, or fails: the same may work later."""


class NoObject(Exception):
    """There is no file under this key."""


@dataclass(frozen=True, slots=True)
class Written:
    """What `put` has taken: its size, and its SHA-256 in hexadecimal."""

    size_bytes: int
    sha256: str


class ObjectStore:
    """Files by key. Safe for any number of tasks at once; owns nothing that must be closed."""

    def __init__(self, store: LocalStore | S3Store, folder: Path | None) -> None:
        self._store = store
        self._folder = folder

    async def put(self, key: str, parts: AsyncIterable[bytes]) -> Written:
        """Keep what `parts` give, durable when this returns; what was under the key is replaced. At most some 15 MB are in memory.

        What `parts` raise passes through, and then, as when this is cancelled, nothing is left behind. Raises `ObjectsAway`.
        """
        counted = _Counted(parts)
        try:
            head = await counted.read(PART_BYTES)
            if counted.is_over:
                await obstore.put_async(self._store, key, head, use_multipart=False)
            else:
                await obstore.put_async(
                    self._store, key, counted.all(head), chunk_size=PART_BYTES, max_concurrency=_UPLOADS_AT_ONCE
                )
        except BaseError as error:
            raise ObjectsAway(type(error).__name__) from error
        if self._folder is not None:
            await asyncio.to_thread(_flush, self._folder, self._folder / key)
        return Written(counted.size_bytes, counted.sha256.hexdigest())

    async def get(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` to before `end`, in parts; the file is found, or not, before this returns.

        `start` must lie within the file unless both are left out. Raises `NoObject`, `ObjectsAway`; both while iterating too.
        """
        options: obstore.GetOptions = {}
        if end is not None:
            options = {"range": (start, end)}
        elif start:
            options = {"range": {"offset": start}}
        try:
            found = await obstore.get_async(self._store, key, options=options)
        except FileNotFoundError:
            raise NoObject from None
        except BaseError as error:
            raise ObjectsAway(type(error).__name__) from error
        return _parts(found)

    def read_blocking(self, key: str, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`, which must lie within the file: for processes without a loop. Raises as `get`."""
        try:
            return bytes(obstore.get_range(self._store, key, start=start, end=end))
        except FileNotFoundError:
            raise NoObject from None
        except BaseError as error:
            raise ObjectsAway(type(error).__name__) from error

    def put_blocking(self, key: str, parts: Iterable[bytes]) -> Written:
        """As `put`, for processes without a loop."""
        digest, size = hashlib.sha256(), 0

        def counted() -> Iterator[bytes]:
            nonlocal size
            for part in parts:
                digest.update(part)
                size += len(part)
                yield part

        try:
            obstore.put(self._store, key, counted(), chunk_size=PART_BYTES, max_concurrency=_UPLOADS_AT_ONCE)
        except BaseError as error:
            raise ObjectsAway(type(error).__name__) from error
        if self._folder is not None:
            _flush(self._folder, self._folder / key)
        return Written(size, digest.hexdigest())

    async def delete(self, key: str) -> None:
        """Forget the file; one that is not there is fine. Raises `ObjectsAway`.

        In a folder, what a killed process has left of it goes too; in a bucket that goes by the bucket's own rule for uploads that
        were not completed (`AbortIncompleteMultipartUpload`), which it must have.
        """
        try:
            await obstore.delete_async(self._store, key)
        except FileNotFoundError:
            pass
        except BaseError as error:
            raise ObjectsAway(type(error).__name__) from error
        if self._folder is not None:
            await asyncio.to_thread(_remove_begun, self._folder / key)


def open_objects(settings: ObjectsSettings) -> ObjectStore:
    """The store that the settings name. A folder is made here, a bucket must exist; nothing is connected to yet."""
    if not settings.url.startswith("s3://"):
        folder = Path(settings.url).resolve()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return ObjectStore(LocalStore(folder, mkdir=True), folder)
    bucket, _, prefix = settings.url.removeprefix("s3://").partition("/")
    config: obstore.store.S3Config = {"region": settings.region}
    if settings.endpoint:
        config["endpoint"] = settings.endpoint
    if settings.access_key_id:
        config["access_key_id"] = settings.access_key_id
        config["secret_access_key"] = settings.secret_access_key.get_secret_value()
    store = S3Store(
        bucket,
        prefix=prefix.strip("/") or None,
        config=config,
        client_options={
            "allow_http": settings.endpoint.startswith("http://"),
            "timeout": timedelta(seconds=_REQUEST_SECONDS),
            "connect_timeout": timedelta(seconds=3),
        },
        retry_config={"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_SECONDS)},
    )
    return ObjectStore(store, None)


class _Counted:
    """The parts of a file on their way, measured as they pass."""

    def __init__(self, parts: AsyncIterable[bytes]) -> None:
        self._parts = aiter(parts)
        self.size_bytes = 0
        self.sha256 = hashlib.sha256()
        self.is_over = False

    async def read(self, most: int) -> bytes:
        """The first bytes: all of them, or `most` and perhaps some more."""
        head = bytearray()
        while len(head) < most:
            part = await anext(self._parts, None)
            if part is None:
                self.is_over = True
                break
            self._count(part)
            head += part
        return bytes(head)

    async def all(self, head: bytes) -> AsyncIterator[bytes]:
        """What was read, then the rest."""
        yield head
        async for part in self._parts:
            self._count(part)
            yield part

    def _count(self, part: bytes) -> None:
        self.size_bytes += len(part)
        self.sha256.update(part)


async def _parts(found: obstore.GetResult) -> AsyncIterator[bytes]:
    try:
        async for part in found.stream(READ_BYTES):
            yield bytes(part)
    except FileNotFoundError:
        raise NoObject from None
    except BaseError as error:
        raise ObjectsAway(type(error).__name__) from error


def _flush(folder: Path, path: Path) -> None:
    """The file, and the directories on the way to it, of which some may be new. Raises `ObjectsAway`."""
    try:
        for place in [path, *path.parents]:
            descriptor = os.open(place, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if place == folder:
                return
    except OSError as error:
        raise ObjectsAway(type(error).__name__) from error


def _remove_begun(path: Path) -> None:
    """A folder's store writes beside the file, under its name with `#1`, `#2` …, the first that is free (obstore 0.12)."""
    for number in itertools.count(1):
        try:
            path.with_name(f"{path.name}#{number}").unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            raise ObjectsAway(type(error).__name__) from error

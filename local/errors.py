"""What a person reads when a local server cannot be had."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LocalError(Exception):
    """One sentence that says what to do; shown as it is, without a traceback."""


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the file system's refusals below `path` into a sentence."""
    try:
        yield
    except OSError as error:
        match error.errno:
            case errno.ENOSPC | errno.EDQUOT:
                raise LocalError(disk_full(path)) from error
            case errno.EACCES | errno.EPERM | errno.EROFS:
                at = error.filename or path
                raise LocalError(
                    f"User {os.geteuid()} may not write {at}: start as its owner, or make it writable (chmod u+w)."
                ) from error
            case errno.ENOTDIR | errno.EEXIST | errno.ENOENT | errno.EISDIR | errno.ENAMETOOLONG | errno.ELOOP:
                at = error.filename or path
                raise LocalError(f"{at} cannot be used ({error.strerror}): see to it, or choose another place.") from error
            case _ if isinstance(error, shutil.Error):  # of a whole folder: the first fault
                source, _target, reason = error.args[0][0]
                raise LocalError(f"{source} cannot be copied below {path}: {reason}") from error
            case _:
                raise


def disk_full(path: Path) -> str:
    return f"The disk that holds {path} is full: free at least 1 GB and start again."

"""Single values of a payload, read carefully: nothing here raises, whatever comes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from services.gateway.domain.contact import MAX_NAME, parse_user_id, parse_username

DEEPEST: Final = 64
_WA_ID: Final = re.compile(r"\+?([0-9]{6,20})")
_SECONDS: Final = re.compile("[0-9]+")
_LONGEST_SECONDS: Final = 15
_LATEST: Final = 4_102_444_800  # the year 2100
_MILLISECONDS_FROM: Final = 100_000_000_000
_LONGEST_ID: Final = 512
_LONGEST_WORD: Final = 64
_TOO_LARGE: Final = 2**63
_NESTED: Final = (dict, list)


def moment(value: Any) -> datetime | None:
    """Seconds since 1970 as text or number; milliseconds have been seen too."""
    if isinstance(value, str):
        return _moment_of_text(value) if len(value) <= _LONGEST_SECONDS else None
    return _moment(value) if isinstance(value, int) and not isinstance(value, bool) else None


@lru_cache(maxsize=256)
def _moment_of_text(text: str) -> datetime | None:
    """Remembered, because a second has thousands of reports."""
    return _moment(int(text)) if _SECONDS.fullmatch(text) else None


def _moment(seconds: int) -> datetime | None:
    if seconds >= _MILLISECONDS_FROM:
        seconds //= 1000
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < _LATEST else None


def identifier(value: Any) -> str | None:
    """The value, where it can be an id. Ids are compared and stored as they are: one with NUL or half a surrogate pair is none."""
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and value.isprintable() else None


def node(value: Any) -> str | None:
    """The id of a number or an account, which are digits: as text, or as a number, which some write."""
    if isinstance(value, int):
        return None if isinstance(value, bool) or not 0 < value < _TOO_LARGE else str(value)
    return identifier(value)


def word(value: Any) -> str | None:
    """A technical name."""
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST_WORD and value.isprintable() else None


def phone(value: Any) -> str | None:
    """E.164 with the plus sign, of a `wa_id`; None for what is none, the empty text of early drafts too."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if 0 < value < _TOO_LARGE else None
    match = _WA_ID.fullmatch(value) if isinstance(value, str) else None
    return None if match is None else f"+{match[1]}"


def user_id(value: Any) -> str | None:
    """A business-scoped user id."""
    return parse_user_id(value) if isinstance(value, str) else None


def username(value: Any) -> str | None:
    """In lower case without the @, which some payloads have and others not."""
    return parse_username(value) if isinstance(value, str) else None


def name(value: Any) -> str | None:
    """What somebody calls themselves, as far as it is kept."""
    return (storable(value)[:MAX_NAME] or None) if isinstance(value, str) else None


def text(value: Any) -> str | None:
    """A sentence of the provider's, as the database can hold it."""
    return (storable(value)[:_LONGEST_ID] or None) if isinstance(value, str) else None


def storable(value: Any) -> Any:
    """The same without NUL characters and halves of surrogate pairs, which PostgreSQL cannot hold, and without numbers that other
    hops cannot carry. `value` is not `too_deep`."""
    if isinstance(value, str):
        return value if value.isprintable() else _mended(value)
    if isinstance(value, dict):
        return {key if key.isprintable() else _mended(key): storable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [storable(inner) for inner in value]
    if isinstance(value, float) and value - value != 0.0:
        return str(value)  # infinite, or no number
    return str(value) if isinstance(value, int) and abs(value) >= _TOO_LARGE else value


def _mended(value: str) -> str:
    return value.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def too_deep(value: Any, levels: int = DEEPEST) -> bool:
    """True where `value` is nested deeper than every hop can carry: encoders and this very reader recurse."""
    for part in value.values() if value.__class__ is dict else value if value.__class__ is list else ():
        # Texts first, which most parts are: each report goes through here.
        if part.__class__ is not str and part.__class__ in _NESTED and (levels == 1 or too_deep(part, levels - 1)):
            return True
    return False


def dicts(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of a list; what is none is passed over."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def at(value: Any, *path: str) -> Any:
    """What stands there; None where nothing does."""
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value

"""Wall clocks: what a local time means in a zone.

On the two days of the year on which a clock is changed a wall time can name no moment or two. The rule is RFC 5545's (§3.3.5):

- in a gap (the clock is put forward over it) a wall time means the moment as far after the change as it lies within the gap: where
  02:00 becomes 03:00, 02:30 is 03:30. The same where a whole day was left out: Samoa's 2011-12-30 10:00 is the 31st, 10:00;
- in an overlap (the clock is put back) it means the first of its two moments.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,31}(/[A-Za-z0-9_+-]{1,31}){0,2}")
_NO_PLACES: Final = frozenset({"localtime", "posixrules", "Factory"})
"""Files that stand beside the zones: the machine's own, and none."""
_LEAPING: Final = ("right/", "posix/")


def is_zone(name: str) -> bool:
    """True for the IANA name of a time zone, letter for letter."""
    if not _NAME.fullmatch(name) or name in _NO_PLACES or name.startswith(_LEAPING):
        return False
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; no zone's data; a folder of zones
        return False
    return True


def resolve(wall: datetime, zone: str) -> datetime:
    """The moment (UTC) that a naive local time means in the zone; see above for gaps and overlaps."""
    return wall.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)


def wall_of(moment: datetime, zone: str) -> datetime:
    """What clocks in the zone show at the moment, naive."""
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def readings(wall: datetime, zone: str) -> tuple[datetime, ...]:
    """The moments (UTC) at which clocks in the zone show it: none in a gap, two in an overlap, in order."""
    place = ZoneInfo(zone)
    moments = sorted({wall.replace(tzinfo=place, fold=fold).astimezone(UTC) for fold in (0, 1)})
    return tuple(moment for moment in moments if moment.astimezone(place).replace(tzinfo=None) == wall)


def earliest(wall: datetime, zone: str) -> datetime:
    """A moment (UTC) before which no clock in the zone shows this wall time or a later one for the last time."""
    place = ZoneInfo(zone)
    return min(wall.replace(tzinfo=place, fold=fold).astimezone(UTC) for fold in (0, 1))

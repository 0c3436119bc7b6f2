"""Message ids in the form Meta's take: opaque by contract, imitated so that clients meet the real length and alphabet.

`wamid.` + base64 of `1C 18 <len><phone digits> 15 02 00 <11 outbound | 12 inbound> 18 <len><upper-case hex id> 00`; the hex id
has 18 characters outbound and 20 inbound. Source: decoded from recorded ids.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

OUTBOUND_ID_BYTES: Final = 9
INBOUND_ID_BYTES: Final = 10

_PREFIX: Final = "wamid."
_OUTBOUND: Final = 0x11
_INBOUND: Final = 0x12


@dataclass(frozen=True, slots=True)
class Wamid:
    """What a wamid holds: the other side's digits, the direction, the hex id."""

    phone: str
    is_inbound: bool
    hex_id: str


def outbound(recipient: str, unique: bytes) -> str:
    """Id of a message to `recipient` (digits); `unique` is `OUTBOUND_ID_BYTES` that no other message has."""
    return _encode(recipient, _OUTBOUND, unique)


def inbound(sender: str, unique: bytes) -> str:
    """Id of a message from `sender`; `unique` is `INBOUND_ID_BYTES` that no other message has."""
    return _encode(sender, _INBOUND, unique)


def _encode(phone: str, direction: int, unique: bytes) -> str:
    digits = phone.encode("ascii")
    hex_id = unique.hex().upper().encode("ascii")
    raw = b"\x1c\x18%c%b\x15\x02\x00%c\x18%c%b\x00" % (len(digits), digits, direction, len(hex_id), hex_id)
    return _PREFIX + binascii.b2a_base64(raw, newline=False).decode("ascii")


def decode(wamid: str) -> Wamid | None:
    """The parts of a wamid of this form; None for anything else, the shorter ids of Meta's dashboard included."""
    if not wamid.startswith(_PREFIX):
        return None
    try:
        raw = base64.b64decode(wamid[len(_PREFIX) :], validate=True)
        if raw[:2] != b"\x1c\x18":
            return None
        phone_end = 3 + raw[2]
        direction_at = phone_end + 3
        id_at = direction_at + 3
        direction = raw[direction_at]
        if raw[phone_end:direction_at] != b"\x15\x02\x00" or direction not in (_OUTBOUND, _INBOUND):
            return None
        if raw[direction_at + 1 : id_at - 1] != b"\x18" or raw[id_at + raw[id_at - 1] :] != b"\x00":
            return None
        return Wamid(raw[3:phone_end].decode("ascii"), direction == _INBOUND, raw[id_at:-1].decode("ascii"))
    except (binascii.Error, ValueError, IndexError):
        return None


@lru_cache(maxsize=4096)
def user_id_of(digits: str) -> str:
    """The business-scoped user id of the virtual user behind a number: always the same one."""
    return f"US.{int.from_bytes(hashlib.sha256(digits.encode()).digest()[:8]):020d}"

"""The wamid of a message that was accepted at the front door: the provider's form around our own id.

The front door answers before the provider has, so it mints the wamid that its caller will know the message by. Nothing is stored
for that: the id is in it. Form: `wamid.` and base64 of `1C 18 <len><phone digits> 15 02 00 11 18 <len><hex id> 00`; the provider's
hex ids have 18 to 22 characters, ours 34 (the 130 bits of 26 digits), and the phone is `0`, so neither is taken for the other.
Source: WhatsApp Cloud API, recorded ids, read 2026-11.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

from shared.ids import MessageId, is_id

_PREFIX: Final = "wamid."
_HEAD: Final = b"\x1c\x18\x010\x15\x02\x00\x11\x18\x22"
_TAIL: Final = b"\x00"
_HEX_ID: Final = re.compile(rb"[0-9A-F]{34}")
_ID_DIGITS: Final = 26
_LENGTH: Final = 66
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuv"


def mint(message_id: MessageId) -> str:
    """The wamid of our message; always the same one."""
    number = int(message_id.removeprefix("msg_"), 32)  # base32hex has Python's own digits
    raw = b"%b%b%b" % (_HEAD, b"%034X" % number, _TAIL)
    return _PREFIX + binascii.b2a_base64(raw, newline=False).decode("ascii")


def message_of(wamid: str) -> MessageId | None:
    """The message whose minted wamid this is; None for any other text, the provider's own wamids included. Says nothing about the
    message's existence."""
    if len(wamid) != _LENGTH or not wamid.startswith(_PREFIX):
        return None
    try:
        raw = binascii.a2b_base64(wamid[len(_PREFIX) :], strict_mode=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        return None
    hex_id = raw[len(_HEAD) : -1]
    if not raw.startswith(_HEAD) or not raw.endswith(_TAIL) or not _HEX_ID.fullmatch(hex_id):
        return None
    number, digits = int(hex_id, 16), ""
    for _ in range(_ID_DIGITS):
        number, digit = divmod(number, 32)
        digits = _DIGITS[digit] + digits
    message_id = f"msg_{digits}"
    return MessageId(message_id) if number == 0 and is_id(message_id, "msg") else None

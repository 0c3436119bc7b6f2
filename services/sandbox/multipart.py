"""Multipart bodies, cut by hand: a parser for mail would copy a hundred megabytes several times."""

from __future__ import annotations

import email.message
import email.parser
import email.policy
import re
from typing import Final, NamedTuple
from urllib.parse import unquote

from services.sandbox.domain.errors import GraphError

MAX_PARTS: Final = 50
_SEPARATORS: Final = re.compile(r"[\\/]")


class Part(NamedTuple):
    """One member. `filename` is None where it is no file, and without the folders and percent signs that some clients send."""

    name: str
    filename: str | None
    content_type: str
    content: bytes


def parts_of(raw: bytes, content_type: str) -> list[Part]:
    """The parts in their order, in any order and of any size. Raises `GraphError` where the body is not multipart."""
    head = email.message.Message()
    head["Content-Type"] = "".join(character for character in content_type if character.isprintable())
    boundary = head.get_param("boundary")
    if not isinstance(boundary, str) or not boundary.isascii():
        raise _broken()
    mark = b"--" + boundary.encode("ascii")
    at = raw.find(mark)
    found: list[Part] = []
    while at >= 0:
        at += len(mark)
        if raw[at : at + 2] == b"--":
            return found
        start = raw.find(b"\r\n", at)
        end = raw.find(b"\r\n" + mark, start)
        if start < 0 or end < 0 or len(found) == MAX_PARTS:
            break
        found.append(_part(raw, start + 2, end))
        at = end + 2
    raise _broken()


def _part(raw: bytes, start: int, end: int) -> Part:
    blank = raw.find(b"\r\n\r\n", start, end)
    if blank < 0:
        raise _broken()
    head = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(raw[start : blank + 4], headersonly=True)
    name = head.get_param("name", header="content-disposition")
    if not isinstance(name, str):
        raise _broken()
    filename = head.get_filename()
    return Part(
        name,
        None if filename is None else _SEPARATORS.split(unquote(filename))[-1],
        str(head.get("Content-Type", "")).strip(),
        raw[blank + 4 : end],
    )


def _broken() -> GraphError:
    return GraphError(100, "The body is not valid multipart/form-data.")

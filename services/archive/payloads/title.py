"""Titles of conversations, as they are given."""

from __future__ import annotations

import re
from typing import Final

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that change the direction of all that follows. The marks and joiners that scripts and emoji need
are none of them."""


def _plain(title: str) -> str:
    if _UNSEEN.search(title):
        raise PydanticCustomError("title.invalid", "holds control characters, or such as change the direction of writing")
    return title


PLAIN: Final = AfterValidator(_plain)
"""For the type of a title: refuses what would not be seen where it is shown, or would change how what follows is read."""

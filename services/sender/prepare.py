"""The last change of a content before it leaves: what is ours by name gets the provider's name for it.

Contents are kept with our names (`msg_…`, `med_…`): a message of ours has none at the provider before it is sent, and a file has
another with each number and for some weeks only. A plain text has neither and is not looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Protocol

from services.sender.domain.outcome import Outcome, Retry
from services.sender.media import OwnFiles
from services.sender.numbers import Number
from shared.events.catalogue import MessageReleased
from shared.events.values import Content

LONGEST_SECONDS: Final = 10.0
"""Together with the patience of a job and a call it is well below an attempt's lease: who is taken for lost must not call later."""
_SLOW: Final = Retry("sender.preparation_slow", after=2.0, counted=False)
_PLAIN: Final = 2
"""Members of a plain text: `type` and `text`."""


class Substitution(Protocol):
    """Puts one kind of names in the place of ours."""

    async def put_in(self, content: Content, event: MessageReleased, number: Number, /) -> Content | Outcome:
        """The content with the provider's names (the same one where it has none of ours), or how the attempt ends without a call.
        `content` is not changed. Every failure is an outcome; a database that is away is a `Retry`."""
        ...


class Preparation:
    """All substitutions, one after the other."""

    def __init__(self, substitutions: Sequence[Substitution], files: OwnFiles | None = None) -> None:
        """`files` is the last of them."""
        self._substitutions = substitutions if files is None else [*substitutions, files]
        self._files = files

    async def ready(self, event: MessageReleased, number: Number) -> Content | Outcome:
        """What is to be sent, or how the attempt ends without a call."""
        content: dict[str, Any] = event.content
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                for substitution in self._substitutions:
                    changed = await substitution.put_in(content, event, number)
                    if not isinstance(changed, dict):
                        return changed
                    content = changed
        except TimeoutError:
            return _SLOW
        return content

    async def doubted(self, event: MessageReleased, number: Number, outcome: Outcome) -> Outcome:
        """How the attempt ends whose call ended so: not with a refusal where only what was put in may have been wrong."""
        return outcome if self._files is None else await self._files.doubt(event, number, outcome)


def is_plain(content: Content) -> bool:
    """True for a text that answers no message: nothing of it is to be replaced."""
    return len(content) == _PLAIN and content.get("type") == "text"

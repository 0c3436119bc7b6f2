"""An attempt: one call to the provider, and the name it travels under."""

from __future__ import annotations

import re
from typing import NamedTuple

from shared.ids import MessageId, is_id


class AttemptId(NamedTuple):
    """The pair that is sent at most once. Its text goes out in `biz_opaque_callback_data` and comes back in every report."""

    message_id: MessageId
    attempt: int

    def __str__(self) -> str:
        return f"{self.message_id}.{self.attempt}"


def parse_attempt_id(text: str) -> AttemptId | None:
    """The attempt that `text` names, or None where it is not one of ours."""
    message_id, _, attempt = text.rpartition(".")
    if not is_id(message_id, "msg") or not re.fullmatch("[0-9]{1,6}", attempt):
        return None
    return AttemptId(MessageId(message_id), int(attempt))

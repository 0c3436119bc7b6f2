"""Titles are shown in many places: what would not be seen there, or would turn what follows, is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.archive.payloads.imports import Wishes
from services.archive.payloads.reading import ConversationChange


@pytest.mark.parametrize("model", [ConversationChange, Wishes])
@pytest.mark.parametrize("title", ["a\x01b", "a\nb", "a\x7fb", "a\x85b", "a\u202ab", "a\u202eb", "a\u2066b", "a\u2069b"])
def test_control_characters_and_changes_of_direction_are_refused(model: type[ConversationChange | Wishes], title: str) -> None:
    with pytest.raises(ValidationError, match=r"title\.invalid"):
        model(title=title)


@pytest.mark.parametrize("model", [ConversationChange, Wishes])
@pytest.mark.parametrize("title", ["The house", "👩\u200d👧", "نامه\u200cها", "\u200fשלום"])
def test_joiners_and_marks_that_scripts_need_are_taken(model: type[ConversationChange | Wishes], title: str) -> None:
    assert model(title=title).title == title

"""Labels are kept in one spelling, and only such that can be seen and stand in a path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.archive.domain.label import MAX_LABEL_CHARS, fold_label


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ("Urgent", "urgent"),
        ("  to   do ", "to do"),
        ("Stra\u00dfe", "strasse"),
        ("cafe\u0301", "caf\u00e9"),
        ("\u00c9T\u00c9", "\u00e9t\u00e9"),
        ("مهم", "مهم"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("x" * MAX_LABEL_CHARS, "x" * MAX_LABEL_CHARS),
    ],
)
def test_it_is_kept_folded(given_: str, kept: str) -> None:
    assert fold_label(given_) == kept


@pytest.mark.parametrize(
    "text", ["", "   ", "a/b", ".", "..", "a\x00b", "a\u202eb", "\u200e", "\ud800", "\ue000", "x" * (MAX_LABEL_CHARS + 1)]
)
def test_what_cannot_be_seen_or_stand_in_a_path_is_none(text: str) -> None:
    assert fold_label(text) is None


@given(st.text(max_size=80))
def test_folding_twice_changes_nothing(text: str) -> None:
    label = fold_label(text)
    if label is not None:
        assert fold_label(label) == label

"""Named SQL: a file that breaks the rules does not load."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.db.queries import Queries


def load(folder: Path, text: str) -> Queries:
    path = folder / "queries.sql"
    path.write_text(text, encoding="utf-8")
    return Queries(path)


def test_queries_are_found_by_name_without_their_comments(tmp_path: Path) -> None:
    queries = load(
        tmp_path,
        "-- name: first\n-- Takes nothing.\nSELECT 1\n\n-- name: second_2\n-- Takes x;\n-- goes on.\nSELECT $1\n  AS x\n",
    )
    assert dict(queries) == {"first": "SELECT 1", "second_2": "-- goes on.\nSELECT $1\n  AS x"}
    assert len(queries) == 2


def test_a_missing_name_is_a_key_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="absent"):
        load(tmp_path, "-- name: there\n-- Is.\nSELECT 1\n")["absent"]


@pytest.mark.parametrize(
    "text",
    [
        "-- name: a\nSELECT 1\n",
        "-- name: a\n--\nSELECT 1\n",
        "-- name: a\n\n-- Too late.\nSELECT 1\n",
        "-- name: Bad-Name\n-- Described.\nSELECT 1\n",
        "  -- name: a\n-- Described.\nSELECT 1\n",
        "-- name: a",
    ],
)
def test_a_query_without_name_or_description_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a name and, on the next line, a description"):
        load(tmp_path, text)


def test_two_queries_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two queries share a name"):
        load(tmp_path, "-- name: a\n-- One.\nSELECT 1\n-- name: a\n-- Two.\nSELECT 2\n")

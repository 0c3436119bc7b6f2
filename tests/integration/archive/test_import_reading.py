"""The process that reads imports, where it dies."""

from __future__ import annotations

import pytest

from services.archive.imports import reading as module
from services.archive.imports.reading import ReadingFailed, reading
from shared.unavailable import is_unavailable


async def test_a_process_that_dies_before_it_has_its_job_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken pipe would be taken for a server that is away, and the import tried again without end."""
    monkeypatch.setattr(module, "MODULE", "this")  # prints a poem, and reads nothing
    with pytest.raises(ReadingFailed) as caught:
        async with reading({"job": "x" * 1_000_000}):
            pass
    assert not is_unavailable(caught.value)

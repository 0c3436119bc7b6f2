"""The deployment of this checkout, rendered once."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.checks.tree import Tree

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def checkout() -> Tree:
    """Not to be changed."""
    return Tree(ROOT)

"""Who may tell what, and that somebody listens."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from services.topology import SUBSCRIPTIONS
from shared.events import catalogue
from shared.events.event import Event
from shared.ids import EventId
from tests.contract.events.samples import kinds, samples

ROOT: Final = Path(__file__).resolve().parents[3]
SUBJECTS: Final = sorted(kinds())
OWNERS: Final = ("gateway", "scheduler", "sender", "archive")


@pytest.mark.parametrize("subject", SUBJECTS)
def test_an_event_has_an_owner_a_sentence_and_a_name_in_the_past_tense(subject: str) -> None:
    event = kinds()[subject]
    assert event.event_owner in OWNERS
    assert event.__doc__
    assert event.__doc__ != Event.__doc__
    assert re.fullmatch(r"[a-z]+\.[a-z_]*(ed|sent|held|found|told|lost)\.v[1-9][0-9]*", subject)
    assert subject == event.subject() == f"{event.event_name}.v{event.event_version}"


@pytest.mark.parametrize("subject", SUBJECTS)
def test_an_event_carries_tenant_trace_and_an_id_of_its_own(subject: str) -> None:
    event = samples()[subject]
    assert {"tenant_id", "traceparent", "event_id", "occurred_at"} <= set(type(event).model_fields)
    head = {"event_id", "occurred_at"}
    one, other = (type(event)(**event.model_dump(exclude=head)) for _ in range(2))
    assert one.event_id != other.event_id != EventId("")
    assert one.occurred_at.tzinfo is not None


@pytest.mark.parametrize("subject", SUBJECTS)
def test_somebody_listens_to_every_event(subject: str) -> None:
    assert [s.name for s in SUBSCRIPTIONS if subject in s.subjects], "publishing it would be refused as unroutable"


def test_subscriptions_are_named_once_after_their_service() -> None:
    names = [subscription.name for subscription in SUBSCRIPTIONS]
    assert len(set(names)) == len(names)
    for name in names:
        assert name.partition(".")[0] in OWNERS
        assert re.fullmatch(r"[a-z]+\.[a-z_]+", name)


def constructed(service: str) -> Iterator[tuple[str, type[Event]]]:
    """Where the service's code makes an event: `MessageSent(…)`."""
    classes = {kind.__name__: kind for kind in kinds().values()}
    for path in sorted((ROOT / "services" / service).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        patterns = {id(node.cls) for node in ast.walk(tree) if isinstance(node, ast.MatchClass)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and id(node.func) not in patterns:
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                if name in classes:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", classes[name]


@pytest.mark.parametrize("service", [*OWNERS, "sandbox"])
def test_a_service_tells_only_what_it_owns(service: str) -> None:
    assert [(place, kind.__name__) for place, kind in constructed(service) if kind.event_owner != service] == []


def test_every_event_is_told_by_its_owner() -> None:
    told = {kind for service in OWNERS for _, kind in constructed(service)}
    assert told == set(kinds().values())


def test_events_are_declared_in_the_catalogue_only() -> None:
    for path in [*(ROOT / "services").rglob("*.py"), *(ROOT / "shared").rglob("*.py")]:
        if path != Path(catalogue.__file__):
            classes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ClassDef)]
            assert not [node.name for node in classes if any(k.arg == "owner" for k in node.keywords)], path

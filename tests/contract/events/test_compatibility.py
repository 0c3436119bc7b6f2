"""Old bytes are read by the new classes, and new bytes fit the schemas that older readers were made for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest

from shared.events.codec import decode, encode
from tests.contract.events.samples import kinds, samples

GOLDEN: Final = Path(__file__).resolve().parents[3] / "shared" / "events" / "golden"
EXAMPLES: Final = Path(__file__).with_name("examples")
SUBJECTS: Final = sorted(kinds())


def golden(subject: str) -> Any:
    return json.loads((GOLDEN / f"{subject}.json").read_text(encoding="utf-8"))


def test_every_event_has_a_golden_schema_and_an_example_and_there_are_no_others() -> None:
    assert sorted(path.name.removesuffix(".json") for path in GOLDEN.iterdir()) == SUBJECTS
    assert sorted(path.name.removesuffix(".json") for path in EXAMPLES.iterdir()) == SUBJECTS


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_schema_is_the_golden_one(subject: str) -> None:
    """A change here is a new version of the event, unless all it adds is an optional field: then the golden file follows."""
    assert kinds()[subject].model_json_schema(mode="serialization") == golden(subject)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_old_bytes_are_still_read(subject: str) -> None:
    """The examples were written once; they are what queues and outboxes may still hold. Never make them anew: a field that came
    later has its default."""
    raw = (EXAMPLES / f"{subject}.json").read_bytes()
    (event,) = decode(subject, raw)
    sample = samples()[subject]
    assert event == kinds()[subject](**{name: getattr(sample, name) for name in json.loads(raw)[0]})
    written = json.loads(encode([event])[0].body)
    assert [{**new, **old} for old, new in zip(json.loads(raw), written, strict=True)] == written


@pytest.mark.parametrize("subject", SUBJECTS)
def test_new_bytes_fit_the_golden_schema(subject: str) -> None:
    (batch,) = encode([samples()[subject]])
    checker = jsonschema.Draft202012Validator(golden(subject), format_checker=jsonschema.FormatChecker())
    for event in json.loads(batch.body):
        checker.validate(event)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_bytes_without_the_optional_fields_fit_both(subject: str) -> None:
    schema = golden(subject)
    (batch,) = encode([samples()[subject]])
    (full,) = json.loads(batch.body)
    bare = {name: full[name] for name in schema["required"]}
    jsonschema.validate(bare, schema)
    (event,) = decode(subject, json.dumps([bare]).encode())
    jsonschema.validate(json.loads(encode([event])[0].body)[0], schema)

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import structlog
from pydantic import BaseModel, SecretStr

from shared.errors import Permanent, Rejected, Retry
from shared.personal import Model, Personal
from shared.telemetry.logging import setup_logging
from shared.telemetry.redaction import HIDDEN, scrub

PHONE = "+4915112345678"
TEXT = "Grandma's soup recipe"
KEY = "chq_live_k1_5up3r53cr3t"
TOKEN = "EAABsbCS1iHgBAKZCzZB0123456789"
WAMID = "wamid.HBgNNDkxNTExMjM0NTY3OBUCABEYEjhC"
SECRETS = (PHONE, PHONE.lstrip("+"), TEXT, "soup", KEY, "5up3r53cr3t", TOKEN, "hunter2", WAMID)


class Letter(Model):
    message_id: str
    to: Personal[str]
    body: Personal[str]


class Foreign(BaseModel):
    body: str


@dataclass
class Row:
    body: str


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    setup_logging("info", stream)
    yield stream
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = handlers
    root.setLevel(level)


def fail(error: Exception) -> None:
    raise error


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_json_with_time_level_event_and_context(out: io.StringIO) -> None:
    structlog.contextvars.bind_contextvars(service="gateway", trace_id="t")
    structlog.get_logger().warning("delivery.settled", attempt=2, wait=1.5, sure=True, none=None)

    (line,) = lines(out)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "warning",
        "event": "delivery.settled",
        "service": "gateway",
        "trace_id": "t",
        "attempt": 2,
        "wait": 1.5,
        "sure": True,
        "none": None,
    }


def test_lines_below_the_level_are_not_written(out: io.StringIO) -> None:
    log = structlog.get_logger()
    log.debug("a.b")
    log.info("c.d")

    assert [line["event"] for line in lines(out)] == ["c.d"]


def test_a_second_set_up_reaches_loggers_already_used(out: io.StringIO) -> None:
    log = structlog.get_logger()
    log.info("a.b")
    later = io.StringIO()
    setup_logging("error", later)
    log.info("c.d")
    log.error("e.f")

    assert [line["event"] for line in lines(out)] == ["a.b"]
    assert [line["event"] for line in lines(later)] == ["e.f"]


def test_an_exception_is_its_class_and_frames(out: io.StringIO) -> None:
    try:
        try:
            fail(ValueError(TEXT))
        except ValueError as error:
            raise RuntimeError(PHONE) from error
    except RuntimeError:
        structlog.get_logger().exception("delivery.failed")

    (line,) = lines(out)
    assert line["level"] == "error"
    assert line["error"]["class"] == "RuntimeError"
    (frame,) = line["error"]["frames"]
    file, _, function = frame.rsplit(":", 2)
    assert file == "tests/unit/telemetry/test_logging.py"
    assert function == "test_an_exception_is_its_class_and_frames"
    assert line["error"]["cause"]["class"] == "ValueError"
    assert line["error"]["cause"]["frames"][-1].endswith(":fail")


def test_codes_of_our_failures_are_kept_and_members_of_groups_shown(out: io.StringIO) -> None:
    group = ExceptionGroup(TEXT, [Permanent("number.unknown"), Retry("provider.busy"), Rejected("key.wrong", TEXT)])
    structlog.get_logger().error("x.failed", exc_info=group)

    (line,) = lines(out)
    assert [member["code"] for member in line["error"]["members"]] == ["number.unknown", "provider.busy", "key.wrong"]
    assert TEXT not in out.getvalue()


def test_exc_info_in_every_form(out: io.StringIO) -> None:
    log = structlog.get_logger()
    error = KeyError("x")
    log.error("a.a", exc_info=error)
    log.error("a.b", exc_info=(KeyError, error, None))
    log.error("a.c", exc_info=True)  # noqa: LOG014  # a mistake that must not lose the line

    first, second, third = lines(out)
    assert first["error"]["class"] == second["error"]["class"] == "KeyError"
    assert "error" not in third


def test_no_known_secret_gets_through_any_field(out: io.StringIO) -> None:
    log = structlog.get_logger()
    letter = Letter(message_id="msg_1", to=PHONE, body=TEXT)
    values: list[Any] = [
        letter,
        [letter],
        {"letter": letter},
        Foreign(body=TEXT),
        Row(TEXT),
        SecretStr("hunter2"),
        ValueError(TEXT),
        TEXT.encode(),
        {"text": {"body": TEXT}},
        [{"body": TEXT}],
        object(),
        f"Bearer {KEY}",
        f"authorization: bearer {TOKEN}",
        f"calling {PHONE} now",
        KEY,
        TOKEN,
        WAMID,
        "amqp://guest:hunter2@localhost/",
    ]
    for value in values:
        log.info("a.b", value=value)
        structlog.contextvars.bind_contextvars(bound=value)
        log.info("a.b")
        structlog.contextvars.clear_contextvars()
    for name in ("to", "body", "text", "token", "phone", "url", "sender_name", "content", "authorization", "wamid", "query"):
        log.info("a.b", **{name: TEXT})
    try:
        fail(RuntimeError(f"{PHONE} {TEXT} {KEY}"))
    except RuntimeError:
        log.exception("a.b", note=KEY)

    assert len(lines(out)) == 2 * len(values) + 11 + 1, "every line is there and is JSON"
    for secret in SECRETS:
        assert secret not in out.getvalue()
    assert "msg_1" in out.getvalue(), "what is not personal is shown"


def test_no_known_secret_gets_through_the_standard_library(out: io.StringIO) -> None:
    log = logging.getLogger("some.library")
    log.error("could not send %s to %s", TEXT, PHONE)
    log.error(f"rejected: {TEXT}")  # noqa: G004  # what libraries do
    log.warning("bad row %r", {"body": TEXT})
    log.warning("%s: %s", TEXT, PHONE)
    log.info("not written")
    try:
        fail(RuntimeError(TEXT))
    except RuntimeError:
        log.exception("Failed with %s", PHONE)

    first, second, third, fourth = lines(out)
    assert (first["logger"], first["words"], first["level"]) == ("some.library", "could not send", "error")
    assert second["words"] == "rejected"
    assert third["level"] == "warning"
    assert fourth["error"]["class"] == "RuntimeError"
    for secret in SECRETS:
        assert secret not in out.getvalue()


async def test_no_known_secret_gets_through_asyncio(out: io.StringIO) -> None:
    def explode(_text: str) -> None:
        raise RuntimeError(TEXT)

    asyncio.get_running_loop().call_soon(explode, PHONE)
    while not out.getvalue():  # one turn of the loop
        await asyncio.sleep(0)

    (line,) = lines(out)
    assert line["logger"] == "asyncio"
    for secret in SECRETS:
        assert secret not in out.getvalue()


def test_values_that_json_cannot_hold_do_not_lose_the_line(out: io.StringIO) -> None:
    log = structlog.get_logger()
    log.info("a.a", value="\ud800", other=1)
    log.info("a.b", value=2**70)
    log.info("a.c", value=float("nan"), path=Path("/srv/a.txt"), id=UUID(int=1), names={"b", "a"})

    first, second, third = lines(out)
    assert first["other"] == 1
    assert second["event"] == "a.b"
    assert third["value"] is None
    assert third["path"] == "a.txt"
    assert third["names"] == ["a", "b"]


def test_lists_of_ids_and_counts_by_name_are_shown(out: io.StringIO) -> None:
    structlog.get_logger().info("a.b", ids=["msg_1", "msg_2"], counts={"sent": 2, "failed": 0})

    (line,) = lines(out)
    assert line["ids"] == ["msg_1", "msg_2"]
    assert line["counts"] == {"sent": 2, "failed": 0}


@pytest.mark.parametrize(
    "harmless", ["request.finished", "2026-11-21T10:00:00Z", "msg_06a8bcd123e1230123456789ab", "1+1=2", "a@b", "chq_"]
)
def test_scrubbing_leaves_the_rest_alone(harmless: str) -> None:
    assert scrub(harmless) == harmless


@pytest.mark.parametrize("kind", ["live", "test", "admin"])
def test_a_key_of_any_kind_is_scrubbed(kind: str) -> None:
    assert scrub(f"refused chq_{kind}_0a1b2c3d4e5f_secret here") == f"refused {HIDDEN} here"

"""JSON lines on stdout, one fact per field, with nothing in them that must not be read by whoever reads logs.

    {"timestamp": "…Z", "level": "info", "event": "request.finished", "service": "gateway", "status": 202, …}

Of an exception only the class, our own failures' code, PostgreSQL's SQLSTATE and the frames are kept: a foreign exception's
text may quote a row. Of what libraries log only the logger and the constant words of the message are.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TextIO

import orjson
import structlog
from pydantic import SecretBytes, SecretStr
from structlog.typing import EventDict, WrappedLogger

from shared.errors import Failure
from shared.personal import Model
from shared.telemetry.redaction import HIDDEN, HIDDEN_FIELDS, scrub

_LEVELS: Final[Mapping[str, int]] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_MAX_FRAMES: Final = 20
_BATCH_BY_BATCH: Final = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
"""Tells of each try that it failed; `spans.lost` sums them up."""
_ROOT: Final = f"{Path(__file__).resolve().parents[2]}/"
_OPTIONS: Final = (
    orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def setup_logging(level: str = "info", stream: TextIO | None = None) -> None:
    """Send every log line of this process, structlog's and the standard library's, to `stream` (stdout unless given).

    `level` is debug, info, warning or error. Calling again replaces the former set-up.
    """
    out = stream if stream is not None else sys.stdout
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _stamp,
            _hide,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,  # a later call must reach loggers already used
    )
    handler = _StandardLibrary()
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(_LEVELS[level], logging.WARNING))  # below that, libraries tell what they do, not what is wrong
    logging.getLogger(_BATCH_BY_BATCH).setLevel(logging.CRITICAL)


def _stamp(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    level = "error" if method == "exception" else method
    return {"timestamp": datetime.now(UTC), "level": level, "event": event.pop("event", ""), **event}


def _hide(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    exc_info = event.pop("exc_info", None)
    event.pop("stack_info", None)
    for name in event.keys() & HIDDEN_FIELDS:
        event[name] = HIDDEN
    for name, value in event.items():
        if isinstance(value, dict | list | tuple) and not _is_flat(value):
            event[name] = f"<{type(value).__name__} of {len(value)}>"
    if exc_info and (error := _exception_of(exc_info)) is not None:
        event["error"] = describe(error)
    return event


def _is_flat(value: dict[Any, Any] | list[Any] | tuple[Any, ...]) -> bool:
    """True for counts by name and for lists of ids; a nested value is a document, and documents hold what people wrote."""
    if isinstance(value, dict):
        return all(isinstance(count, int | float) for count in value.values())
    return all(isinstance(item, str | int | float) for item in value)


def render(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """One line of JSON, secrets scrubbed out of it."""
    try:
        line = orjson.dumps(event, default=_show, option=_OPTIONS)
    except TypeError:  # a lone surrogate, an integer beyond 64 bits: the line must not be lost for one field
        line = orjson.dumps({name: _plain(value) for name, value in event.items()}, default=_show, option=_OPTIONS)
    return scrub(line.decode())


def describe(error: BaseException) -> dict[str, Any]:
    """An exception as fields: class, code, frames (innermost last), and those of its cause or members; never its text."""
    shown: dict[str, Any] = {"class": type(error).__qualname__, "frames": _frames(error.__traceback__)}
    if isinstance(error, Failure):
        shown["code"] = error.code
    for name in ("sqlstate", "constraint_name", "errno"):
        value = getattr(error, name, None)
        if isinstance(value, str | int):
            shown[name] = value
    if isinstance(error, BaseExceptionGroup):
        shown["members"] = [describe(member) for member in error.exceptions[:5]]
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        shown["cause"] = describe(cause)
    return shown


def _exception_of(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple) and isinstance(exc_info[1], BaseException):
        return exc_info[1]
    return sys.exc_info()[1]


def _frames(traceback: TracebackType | None) -> list[str]:
    frames = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        file = code.co_filename.rpartition("site-packages/")[2].removeprefix(_ROOT)
        frames.append(f"{file}:{traceback.tb_lineno}:{code.co_qualname}")
        traceback = traceback.tb_next
    return frames[-_MAX_FRAMES:]


def _show(value: object) -> object:  # one line per kind of value
    """A value JSON has no form for. Our own models hide what is personal; of anything else only the class is safe to show."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Model | SecretStr | SecretBytes):
        return repr(value)
    if isinstance(value, Path):
        return value.name
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return f"<{type(value).__qualname__}>"


def _plain(value: object) -> object:
    """`value` in a form that surely renders."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int | float | datetime | None) and not (isinstance(value, int) and abs(value) >= 2**63):
        return value
    return f"<{type(value).__qualname__}>"


class _StandardLibrary(logging.Handler):
    """Lines of libraries, and of asyncio, in our form.

    Their messages are foreign text with foreign values in it. Only the words before the first value are kept.
    """

    _first_value: Final = re.compile(r"[<>%{}'\"=:(\n]|[0-9]{4}")

    def emit(self, record: logging.LogRecord) -> None:
        words = self._first_value.split(str(record.msg), maxsplit=1)[0].strip()
        if not words and not record.exc_info and record.levelno < logging.ERROR:
            return  # it begins with a value, so that nothing of it could be told
        log = structlog.get_logger()
        write: Callable[..., None] = log.error if record.levelno >= logging.ERROR else log.warning
        write("library.logged", logger=record.name, words=words[:120], exc_info=record.exc_info)

"""Redaction by type: a field marked `Personal` shows in no `repr`, and so in no log line and no span."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final, TypeVar, get_args

from pydantic import BaseModel, ConfigDict


class PersonalMarker:
    """The annotation behind `Personal[T]`; carries nothing."""


T = TypeVar("T")
Personal = Annotated[T, PersonalMarker()]
REDACTED: Final = "<personal>"


class Model(BaseModel):
    """Base of every value that crosses a seam: frozen, and its `repr` leaves out what is `Personal`.

    Validation errors never quote their input, for the same reason.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        personal = personal_fields(type(self))
        for name, value in super().__repr_args__():
            yield name, REDACTED if name in personal and value is not None else value


def personal_fields(model: type[BaseModel]) -> frozenset[str]:
    """Names of the model's fields whose value must not be shown."""
    return frozenset(
        name for name, field in model.model_fields.items() if _has_marker(field.metadata) or _is_personal(field.annotation)
    )


def _is_personal(annotation: Any) -> bool:
    """True where the mark stands anywhere within: pydantic lifts it to the field from `Personal[T]`, not from `… | None`."""
    parts = get_args(annotation)
    return _has_marker(parts) or any(_is_personal(part) for part in parts)


def _has_marker(marks: Iterable[Any]) -> bool:
    return any(isinstance(mark, PersonalMarker) for mark in marks)

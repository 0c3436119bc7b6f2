"""Redaction by type: a field marked `Personal` shows in no `repr`, and so in no log line and no span."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final, TypeVar

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
        name for name, field in model.model_fields.items() if any(isinstance(mark, PersonalMarker) for mark in field.metadata)
    )

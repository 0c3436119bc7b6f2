"""Files: by the id they were uploaded under, or by a link that the provider follows."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from shared.content.part import Caption, Link, Measured, MediaId, Part

FileName = Annotated[str, Measured(240, least=0), AfterValidator(lambda text: text or None)]


class MediaPart(Part):
    """One of `id` and `link`."""

    id: MediaId | None = Field(None, description="A file of yours (`med_…`), or an id that the provider has given.")
    link: Link | None = Field(None, description="https or http; the provider fetches it.")

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.id is None) == (self.link is None):
            raise PydanticCustomError("media.one_of", "needs exactly one of id and link")
        return self


class PicturePart(MediaPart):
    """An image or a video."""

    caption: Caption | None = None


class AudioPart(MediaPart):
    voice: bool | None = Field(None, description="A voice message: Ogg with Opus, mono.")


class FilePart(MediaPart):
    """A document in a header."""

    filename: FileName | None = None


class DocumentPart(FilePart):
    caption: Caption | None = None

"""Bodies of the public API: files."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from services.gateway.domain.media import Kind
from services.gateway.payloads.pages import PageQuery
from shared.http.bodies import Body
from shared.personal import Model, Personal


class MediaFile(Body):
    """The file itself, whatever its media type; or a form (`multipart/form-data`) with one part `file`."""


class UploadQuery(Body):
    file_name: Personal[str] | None = Field(
        None, max_length=240, description="Where the body is the file itself; a form says it."
    )


class MediaView(Model):
    id: str = Field(examples=["med_06a8r8iq7d7l9f2m3h5k6n7p8q"])
    cloud_api_id: str = Field(description="Its id where the Cloud API is spoken: digits.")
    kind: Kind = Field(description="What messages call it; other types than WhatsApp's own are documents.")
    mime_type: str
    size_bytes: int
    sha256: str = Field(description="Hexadecimal.")
    file_name: Personal[str] | None = None
    number_id: str | None = Field(None, description="The number that somebody sent it to.")
    wamid: str | None = Field(None, description="The provider's id of the message that it came with.")
    created_at: AwareDatetime
    url: str = Field(description="Opens the file without a key, until `url_expires_at`: five minutes.")
    url_expires_at: AwareDatetime


class MediaQuery(PageQuery):
    kind: Kind | None = None
    number_id: str | None = Field(None, max_length=40, description="Files that were sent to this number.")
    wamid: str | None = Field(None, max_length=512, description="Files that came with this message.")


class MediaPage(Model):
    data: list[MediaView]
    next_cursor: str | None = None


class SignedQuery(Body):
    expires: str = Field(max_length=12)
    signature: str = Field(max_length=64)

"""Uploads, the media nodes, the short-lived addresses behind them, and `/control/media`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.sandbox.answers import Answer, graph_json, graph_text, plain_json, response
from services.sandbox.domain.errors import GraphError, bad_parameter, required, unknown_object
from services.sandbox.domain.media_types import check_upload
from services.sandbox.media import INBOUND_SECONDS, UPLOAD_SECONDS, Media, inline_name
from services.sandbox.multipart import Part, parts_of
from services.sandbox.request import Request
from services.sandbox.world import World

MAX_TTL_MINUTES: Final = 43_200
_SUCCESS: Final = '{"success":true}'
_NO_TOKEN: Final = response(401, b"Unauthorized", "text/plain")
_GONE: Final = response(404, b"", "text/plain")


class MediaRoutes:
    """Files in and out."""

    def __init__(self, world: World) -> None:
        self._world = world

    def upload(self, request: Request, phone_number_id: str) -> bytes:
        """`POST /{phone_number_id}/media`; fields may stand in the query, and behind the file."""
        world = self._world
        header, query = request.header(b"Authorization"), request.query
        world.numbers.authorize(phone_number_id, header, query.get("access_token"), request.method)
        if request.content_type != "multipart/form-data":
            raise required("file")
        parts = parts_of(request.body, request.header(b"Content-Type") or "")
        fields = query | {part.name: part.content.decode("utf-8", "replace") for part in parts if part.filename is None}
        if fields.get("messaging_product") != "whatsapp":
            raise required("messaging_product")
        file = next((part for part in parts if part.name == "file"), None)
        if file is None:
            raise required("file")
        mime_type = fields.get("type") or file.content_type
        check_upload(file.content, mime_type, any_document=world.behaviour.any_document)
        seconds = min(UPLOAD_SECONDS, _ttl_seconds(fields.get("ttl_minutes"))) / world.behaviour.time_scale
        media = self._put(phone_number_id, file, mime_type, seconds)
        return graph_json({"id": media.id})

    def find(self, media_id: str) -> Media | None:
        return self._world.media.find(media_id)

    def node(self, request: Request, media: Media) -> bytes:
        """`GET` and `DELETE /{media_id}`, for whoever speaks for a number of the same account."""
        query = request.query
        number = self._world.numbers.find(media.phone_number_id)
        if number is None or query.get("phone_number_id", media.phone_number_id) != media.phone_number_id:
            raise unknown_object(media.id, request.method)
        self._world.numbers.authorize_account(
            number.line.waba_id, request.header(b"Authorization"), query.get("access_token"), request.method
        )
        if request.method == "DELETE":
            self._world.media.remove(media.id)
            return graph_text(_SUCCESS)
        return graph_json(
            {
                "messaging_product": "whatsapp",
                "url": self.address(request, media),
                "mime_type": media.mime_type,
                "sha256": media.sha256.hex(),
                "file_size": media.size,
                "id": media.id,
            }
        )

    def address(self, request: Request, media: Media) -> str:
        """Where the file is fetched from for the next minutes, on the host that the request was sent to."""
        behaviour = self._world.behaviour
        seconds = behaviour.media_url_seconds / behaviour.time_scale
        return self._world.media.address(media, request.header(b"Host") or "127.0.0.1", seconds)

    def attachment(self, request: Request) -> bytes:
        """The file itself: 401 without a token that anybody has, 404 where the address is old or wrong."""
        authorization = (request.header(b"Authorization") or "").encode("latin-1")
        if not any(authorization in number.authorizations for number in self._world.numbers.all()):
            return _NO_TOKEN
        media = self._world.media.opened(request.query)
        if media is None:
            return _GONE
        headers = f'Content-Disposition: inline;filename={inline_name(media)}\r\nETag: "{media.sha256.hex()}"\r\n'
        return response(200, media.content, _header_text(media.mime_type), headers)

    def control(self, request: Request, segments: Sequence[str]) -> Answer | None:
        """What is kept; a file that a user is to send; ids and addresses whose time is over."""
        media = self._world.media
        match request.method, segments:
            case "GET", []:
                return plain_json({"data": [file.described() for file in media.all()]})
            case "POST", []:
                return plain_json(self._sent_by_user(request).described())
            case "POST", ["expire"]:
                media.expire_addresses()
                return plain_json({"success": True})
            case "GET", [media_id]:
                return plain_json(self._find(media_id).described())
            case "GET", [media_id, "content"]:
                found = self._find(media_id)
                return response(200, found.content, _header_text(found.mime_type))
            case "DELETE", []:
                media.clear()
                return plain_json({"success": True})
            case "DELETE", [media_id]:
                media.remove(self._find(media_id).id)
                return plain_json({"success": True})
        return None

    def _sent_by_user(self, request: Request) -> Media:
        """The body as it is, of any type and size: what users send is not what businesses may upload."""
        query = request.query
        phone_number_id = query.get("phone_number_id") or self._world.first_number().line.phone_number_id
        mime_type = request.header(b"Content-Type") or "application/octet-stream"
        seconds = INBOUND_SECONDS / self._world.behaviour.time_scale
        return self._world.media.put(phone_number_id, request.body, mime_type, query.get("filename"), seconds, is_inbound=True)

    def _put(self, phone_number_id: str, file: Part, mime_type: str, seconds: float) -> Media:
        return self._world.media.put(phone_number_id, file.content, mime_type, file.filename, seconds, is_inbound=False)

    def _find(self, media_id: str) -> Media:
        media = self._world.media.find(media_id)
        if media is None:
            raise GraphError(100, "There is no such file.", http_status=404)
        return media


def _ttl_seconds(text: str | None) -> float:
    if text is None:
        return UPLOAD_SECONDS
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MAX_TTL_MINUTES):
        raise bad_parameter(f"Param ttl_minutes must be a whole number from 1 to {MAX_TTL_MINUTES}.")
    return int(text) * 60.0


def _header_text(text: str) -> str:
    return text if text.isascii() and text.isprintable() else "application/octet-stream"

"""`/control/inbound`, `/control/echoes` and `/control/webhooks`: users, the business's own phone and Meta speak on request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.sandbox.answers import Answer, plain_json
from services.sandbox.domain import wamid
from services.sandbox.domain.behaviour import Digits
from services.sandbox.domain.errors import GraphError, unknown_object
from services.sandbox.domain.files import FILES
from services.sandbox.domain.media_types import bare
from services.sandbox.domain.payload import MAX_TEXT
from services.sandbox.domain.samples import MEDIA, OF_A_NUMBER, UNSUPPORTED_ERRORS, Scene, field_value, message_object
from services.sandbox.domain.updates import AccountUpdate, MessageUpdate, name_of
from services.sandbox.domain.wire import written
from services.sandbox.happen import hear, write
from services.sandbox.media import INBOUND_SECONDS
from services.sandbox.numbers import GraphId, Number
from services.sandbox.request import Request
from services.sandbox.routes.control import valid
from services.sandbox.routes.media import MediaRoutes
from services.sandbox.world import World

UserId = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}\.[A-Za-z0-9.]{1,132}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")]
Wamid = Annotated[str, StringConstraints(min_length=1, max_length=200)]

_QUIET: Final = frozenset({"system", "revoke", "edit", "request_welcome"})
"""Types that open no customer service window."""
_NAMELESS: Final = frozenset({"system"})
"""Types beside which no contact stands."""


class _Said(BaseModel):
    """What all calls have. The object stands under the type's name, and is a sample where it is missing."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    phone_number_id: GraphId | None = None
    type: Word = "text"
    id: Wamid | None = None
    timestamp: Annotated[int, Field(ge=0, le=10**11)] | None = None
    context: dict[str, Any] | None = None

    def content(self) -> Any:
        """The object. Raises `GraphError` for a member that is neither known nor the type's."""
        given = dict(self.model_extra or {})
        content = given.pop(self.type, None)
        if given:
            raise GraphError(100, f"{next(iter(given))[:64]}: there is no such member, and the type is {self.type}.")
        return {"body": content} if self.type == "text" and isinstance(content, str) else content


class Inbound(_Said):
    """A user's message; to the first number, where none is named."""

    from_: Annotated[Digits | None, Field(alias="from")] = None
    user_id: UserId | None = None
    parent_user_id: UserId | None = None
    name: Name | None = None
    username: Name | None = None
    identity_key_hash: Name | None = None
    group_id: Name | None = None
    referral: dict[str, Any] | None = None
    errors: Annotated[list[dict[str, Any]], Field(max_length=10)] | None = None


class Echo(_Said):
    """What somebody wrote with the business's own phone."""

    to: Digits | None = None
    to_user_id: UserId | None = None


class Webhook(BaseModel):
    """Any field with any value, or with a sample of it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    field: Word
    value: dict[str, Any] | None = None
    phone_number_id: GraphId | None = None
    user: Digits = "15551234567"
    time: Annotated[int, Field(ge=0, le=10**11)] | None = None


class InboundRoutes:
    """Says it, and counts what users say."""

    def __init__(self, world: World, media: MediaRoutes) -> None:
        self._world = world
        self._media = media

    def inbound(self, request: Request, segments: Sequence[str]) -> Answer | None:
        """`POST`: a user writes."""
        if request.method != "POST" or segments:
            return None
        said = valid(Inbound, request.body)
        number = self._number(said.phone_number_id)
        who = said.from_ or said.user_id
        if who is None:
            raise GraphError(100, "from: a phone number or a user_id is required.")
        content = said.content()
        if said.type == "text":
            self._check_text(content)
            if said.model_fields_set <= {"from_", "name", "phone_number_id", "type", "text"}:
                return plain_json({"id": write(self._world, number, who, None, content["body"], name=said.name)})
        message_id = said.id or wamid.inbound(who, self._world.ids.randbytes(wamid.INBOUND_ID_BYTES))
        timestamp = said.timestamp if said.timestamp is not None else int(self._world.clock.now().timestamp())
        scene = self._scene(number, who, said.user_id, timestamp, said.name)
        content = self._filled(request, number, said.type, content, scene)
        item: dict[str, Any] = {}
        contact: dict[str, Any] = {"profile": {"name": said.name or name_of(who)}}
        if said.username is not None:
            contact["profile"]["username"] = said.username
        for name, told, value in (
            ("from", "wa_id", said.from_),
            ("from_user_id", "user_id", said.user_id or (scene.user_id if self._world.behaviour.user_ids else None)),
            ("from_parent_user_id", "parent_user_id", said.parent_user_id),
        ):
            if value is not None:
                item[name] = contact[told] = value
        if said.identity_key_hash is not None:
            contact["identity_key_hash"] = said.identity_key_hash
        item |= {"id": message_id, "timestamp": str(timestamp), "type": said.type}
        errors = said.errors or (list(UNSUPPORTED_ERRORS) if said.type == "unsupported" else None)
        item |= _present(
            {
                said.type: content,
                "context": said.context,
                "referral": said.referral,
                "group_id": said.group_id,
                "errors": errors,
            }
        )
        hear(self._world, number, said.group_id or who, opens_window=said.type not in _QUIET)
        contact_text = None if said.type in _NAMELESS else written(contact)
        self._world.webhooks.send(number, MessageUpdate(number.line, who, contact_text, written(item)))
        media_id = content.get("id") if said.type in MEDIA and isinstance(content, dict) else None
        return plain_json({"id": message_id} if media_id is None else {"id": message_id, "media_id": media_id})

    def echoes(self, request: Request, segments: Sequence[str]) -> Answer | None:
        """`POST`: the business writes with its own phone."""
        if request.method != "POST" or segments:
            return None
        said = valid(Echo, request.body)
        number = self._number(said.phone_number_id)
        to = said.to or said.to_user_id
        if to is None:
            raise GraphError(100, "to: a phone number or a to_user_id is required.")
        content = said.content()
        message_id = said.id or wamid.outbound(to, self._world.ids.randbytes(wamid.OUTBOUND_ID_BYTES))
        timestamp = said.timestamp if said.timestamp is not None else int(self._world.clock.now().timestamp())
        if said.type == "text":
            self._check_text(content)
        content = self._filled(request, number, said.type, content, self._scene(number, to, None, timestamp, None))
        item: dict[str, Any] = {"from": number.digits, "id": message_id, "timestamp": str(timestamp), "type": said.type}
        item |= _present({"to": said.to, "to_user_id": said.to_user_id, said.type: content, "context": said.context})
        self._tell(number, "smb_message_echoes", {"message_echoes": [item]}, None)
        return plain_json({"id": message_id})

    def webhooks(self, request: Request, segments: Sequence[str]) -> Answer | None:
        """`POST`: Meta says something about a number or its account."""
        if request.method != "POST" or segments:
            return None
        asked = valid(Webhook, request.body)
        number = self._number(asked.phone_number_id)
        now = int(self._world.clock.now().timestamp())
        value = asked.value
        if value is None:
            value = field_value(asked.field, self._scene(number, asked.user, None, now, None))
            if value is None:
                raise GraphError(100, "value: is required, as there is no sample of this field.")
        time = None if asked.field == "messages" else asked.time or now
        return plain_json({"value": self._tell(number, asked.field, value, time)})

    def _tell(self, number: Number, field: str, value: dict[str, Any], time: int | None) -> dict[str, Any]:
        if field in OF_A_NUMBER:
            line = number.line
            metadata = {"display_phone_number": line.display_phone_number, "phone_number_id": line.phone_number_id}
            value = {"messaging_product": "whatsapp", "metadata": metadata, **value}
        self._world.webhooks.send(number, AccountUpdate(number.line.waba_id, field, written(value), time))
        return value

    def _number(self, phone_number_id: str | None) -> Number:
        if phone_number_id is None:
            return self._world.first_number()
        number = self._world.numbers.find(phone_number_id)
        if number is None:
            raise unknown_object(phone_number_id, "post")
        return number

    def _scene(self, number: Number, who: str, user_id: str | None, timestamp: int, name: str | None) -> Scene:
        line = number.line
        about = wamid.inbound(who, self._world.ids.randbytes(wamid.INBOUND_ID_BYTES))
        return Scene(
            user=who,
            user_id=user_id or wamid.user_id_of(who),
            name=name or name_of(who),
            business=number.digits,
            phone_number_id=line.phone_number_id,
            waba_id=line.waba_id,
            about=about,
            timestamp=timestamp,
        )

    def _filled(self, request: Request, number: Number, type_: str, content: Any, scene: Scene) -> Any:
        """The object as it goes out: a file is stored for media that names none, `"url": true` becomes an address."""
        if type_ not in MEDIA:
            return message_object(type_, scene) if content is None else content
        if content is None:
            content = {}
        if not isinstance(content, dict):
            return content
        media_id = content.get("id")
        media = self._world.media.find(media_id) if isinstance(media_id, str) else None
        if media_id is None:
            mime_type, filename = MEDIA[type_]
            seconds = INBOUND_SECONDS / self._world.behaviour.time_scale
            file = FILES[bare(mime_type)]
            media = self._world.media.put(number.line.phone_number_id, file, mime_type, filename, seconds, is_inbound=True)
        if media is None:
            return content
        told = {**media.told(), **({"filename": media.filename} if media.filename and type_ == "document" else {})}
        if type_ in ("audio", "voice"):
            told["voice"] = True
        if type_ == "sticker":
            told["animated"] = False
        if content.get("url") is True:
            content = {**content, "url": self._media.address(request, media)}
        return {**told, **content}

    def _check_text(self, content: Any) -> None:
        """The one type that virtual users write by themselves, and in words that others read."""
        if content is None:
            raise GraphError(100, "text: Field required")
        body = content.get("body") if isinstance(content, dict) else None
        if not isinstance(body, str) or not 1 <= len(body) <= MAX_TEXT:
            raise GraphError(100, f"text: must be a text of 1 to {MAX_TEXT} characters.")


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}

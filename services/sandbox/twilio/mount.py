"""Where Twilio's surface meets the sandbox: its paths, its part of the control API, its component."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from services.sandbox.answers import Prompt, plain_json
from services.sandbox.domain.behaviour import Digits
from services.sandbox.domain.errors import GraphError, unknown_object
from services.sandbox.request import Request
from services.sandbox.twilio.callbacks import Callbacks
from services.sandbox.twilio.messages import LONGEST_BODY, Messages
from services.sandbox.twilio.senders import Sender, Senders, SenderSpec
from services.sandbox.twilio.wire import API_VERSION, error
from services.sandbox.world import World
from shared.run import Component

M = TypeVar("M", bound=BaseModel)

_MESSAGES: Final = re.compile(rf"/{API_VERSION}/Accounts/([^/]+)/Messages(\.json)?/?")
_DIGITS: Final = re.compile("[1-9][0-9]{5,14}")
_SUCCESS: Final = plain_json({"success": True})


class Written(BaseModel):
    """Somebody writes to a sender; to the first, where none is named."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    from_: Annotated[Digits, Field(alias="from")]
    text: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_BODY)]
    name: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None
    to: Digits | None = None


class Twilio:
    """Needs the running loop. `components` are to run, and `close` forgets what was to happen."""

    def __init__(self, world: World) -> None:
        callbacks = Callbacks(world.session)
        self._senders = Senders()
        self._messages = Messages(world, self._senders, callbacks)
        self.components: Sequence[Component] = [callbacks]
        self.close = self._messages.close

    def handle(self, request: Request) -> Prompt:
        """Every path below `/2010-04-01/`."""
        found = _MESSAGES.fullmatch(request.path)
        if found is None or request.method != "POST":
            return error(20404)
        return self._messages.post(request, found[1])

    def control(self, request: Request, segments: Sequence[str]) -> Prompt:
        """`/control/twilio/…`. Raises `GraphError`, as the rest of the control API does."""
        match request.method, segments:
            case "GET", ["senders"]:
                return plain_json({"data": [sender.public() for sender in self._senders.all()]})
            case "PUT", ["senders", digits]:
                return self._put(digits, request)
            case "DELETE", ["senders", digits] if self._senders.remove(digits):
                return _SUCCESS
            case "POST", ["inbound"]:
                return self._write(_valid(Written, request.body))
        raise unknown_object("control/twilio/" + "/".join(segments)[:64], request.method)

    def _put(self, digits: str, request: Request) -> bytes:
        if not _DIGITS.fullmatch(digits):
            raise GraphError(100, "number: must be 6 to 15 digits.")
        sender = self._senders.put(digits, _valid(SenderSpec, request.body))
        if sender is None:
            raise GraphError(100, "There are too many senders.")
        return plain_json(sender.public())

    def _write(self, written: Written) -> bytes:
        sender = self._sender(written.to)
        sid = self._messages.write(sender, written.from_, written.text, written.name)
        if sid is None:
            raise GraphError(100, "The sender has no webhook_url yet.")
        return plain_json({"sid": sid})

    def _sender(self, digits: str | None) -> Sender:
        senders = self._senders.all() if digits is None else [self._senders.find(digits)]
        if not senders or senders[0] is None:
            raise unknown_object((digits or "senders")[:64], "post")
        return senders[0]


def _valid(model: type[M], raw: bytes) -> M:
    """Raises `GraphError` with a sentence per fault, none of which quotes a value."""
    try:
        return model.model_validate_json(raw)
    except ValidationError as faulty:
        faults = (f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}" for fault in faulty.errors())
        raise GraphError(100, "; ".join(faults)) from None

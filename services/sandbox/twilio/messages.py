"""A message to WhatsApp as Twilio takes it: checked, refused or queued, and then reported on.

The answer is `queued`; Twilio sends no callback for that first state, and one for each that follows. Its queue is not simulated:
there is no limit per second.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

import orjson

from services.sandbox.answers import Prompt
from services.sandbox.domain import wamid
from services.sandbox.domain.conduct import Conduct
from services.sandbox.domain.updates import name_of
from services.sandbox.fates import draw, latency, meet
from services.sandbox.request import Request
from services.sandbox.timers import Timers
from services.sandbox.twilio.callbacks import Callbacks, Form
from services.sandbox.twilio.senders import Sender, Senders
from services.sandbox.twilio.wire import API_VERSION, FAILURES, REFUSALS, created, error
from services.sandbox.world import REPLY, World

ATTEMPT: Final = "attempt"
"""Of the callback URL's query: the client's id of the message, for the ledger."""
LONGEST_BODY: Final = 1600
REPLY_PREFIX: Final = "You said: "
_ADDRESS: Final = re.compile(r"whatsapp:\+([1-9][0-9]{5,14})")
_CONTENT_SID: Final = re.compile("HX[0-9a-fA-F]{32}")
_URL: Final = re.compile(r"https?://[^\s/]+(/\S*)?")


@dataclass(frozen=True, slots=True, eq=False)
class Queued:
    """A message that was taken, and what is needed to report on it."""

    sender: Sender
    sid: str
    recipient: str
    callback_url: str | None
    conduct: Conduct
    reply: str


Step = tuple[Queued, str]


class Messages:
    """The Messages resource."""

    def __init__(self, world: World, senders: Senders, callbacks: Callbacks) -> None:
        self._world = world
        self._senders = senders
        self._callbacks = callbacks
        self._timers = Timers[Step](self._take_steps)

    def close(self) -> None:
        """Forget what was to happen. Twice is safe."""
        self._timers.close()

    def post(self, request: Request, account_id: str) -> Prompt:
        """Take one message, or refuse it with a code of Twilio's."""
        world = self._world
        world.ledger.received += 1
        if not self._senders.opens(account_id, request.header(b"Authorization")):
            return self._refuse(None, 20003)
        try:
            form = request.form()
        except ValueError:
            return self._refuse(None, 21602)
        sender = self._senders.find(_digits(form.get("From")) or "")
        if sender is None or sender.spec.account_id != account_id:
            return self._refuse(None, 63007)
        if sender.spec.refusal is not None:
            return self._refuse(sender, sender.spec.refusal)
        recipient = _digits(form.get("To"))
        code = 21211 if recipient is None else 63031 if recipient == sender.digits else _fault_of(form)
        if recipient is None or code is not None:
            return self._refuse(sender, code or 21211)
        return self._take(sender, recipient, form)

    def write(self, sender: Sender, who: str, text: str, name: str | None = None) -> str | None:
        """Somebody writes to a sender. Returns the message's SID; None where nobody wants to know."""
        url = sender.webhook_url
        if url is None:
            return None
        sid = self._new_sid()
        fields = {
            "MessageSid": sid,
            "SmsMessageSid": sid,
            "SmsSid": sid,
            "SmsStatus": "received",
            "MessageType": "text",
            "AccountSid": sender.spec.account_id,
            "ApiVersion": API_VERSION,
            "From": f"whatsapp:+{who}",
            "To": sender.address,
            "WaId": who,
            "ProfileName": name or name_of(who),
            "NumMedia": "0",
            "NumSegments": "1",
            "Body": text,
        }
        self._world.ledger.count_inbound(sender.digits, self._world.clock.now().timestamp())
        self._callbacks.send(Form(url, sender.spec.auth_token.get_secret_value(), fields))
        return sid

    def _take(self, sender: Sender, recipient: str, form: dict[str, str]) -> Prompt:
        world = self._world
        conduct = world.behaviour.conduct_of(recipient)
        if conduct.refusal is not None and (not conduct.refuses_every_second or world.turns.is_odd((sender.digits, recipient))):
            return self._refuse(sender, REFUSALS.get(conduct.refusal, 21211))
        fate, is_accepted = conduct.fate, conduct.is_accepted
        if (fault := draw(world)) is not None:
            if fault.refusal is not None:
                return self._refuse(sender, REFUSALS.get(fault.refusal, 21211))
            fate, is_accepted = fault.fate, fault.is_accepted
        if not is_accepted:
            return meet(world, fate, b"", after_seconds=0.0, record=None)
        now = world.clock.now()
        sid, unique = self._new_sid(), world.ids.randbytes(wamid.OUTBOUND_ID_BYTES)
        callback_url = form.get("StatusCallback")
        record = world.ledger.accept(_attempt(callback_url), recipient, unique, now.timestamp(), sender.digits)
        if callback_url is not None:
            sender.callback_url = callback_url.partition("?")[0]
        self._follow(Queued(sender, sid, recipient, callback_url, conduct, form.get("Body", "")))
        wire = created(sid, sender.spec.account_id, form, now)
        return meet(world, fate, wire, after_seconds=latency(world), record=record)

    def _follow(self, queued: Queued) -> None:
        """Put the statuses and the answer on the wheel."""
        behaviour = self._world.behaviour
        delay = behaviour.status_delay_ms / 1000
        steps = queued.conduct.steps
        waits = [(delay * place, (queued, step)) for place, step in enumerate(steps, 1)]
        if queued.conduct.replies and behaviour.answers and queued.reply:
            waits.append((delay * len(steps) + behaviour.reply_delay_ms / 1000, (queued, REPLY)))
        self._timers.after(waits)

    def _take_steps(self, steps: list[Step]) -> None:
        for queued, step in steps:
            if step is REPLY:
                self.write(queued.sender, queued.recipient, (REPLY_PREFIX + queued.reply)[:LONGEST_BODY])
            elif queued.callback_url is not None:
                form = Form(queued.callback_url, queued.sender.spec.auth_token.get_secret_value(), _report(queued, step))
                self._callbacks.send(form)

    def _refuse(self, sender: Sender | None, code: int) -> bytes:
        digits = None if sender is None else sender.digits
        self._world.ledger.refuse(digits, code, self._world.clock.now().timestamp())
        return error(code)

    def _new_sid(self) -> str:
        return f"SM{self._world.ids.randbytes(16).hex()}"


def _report(queued: Queued, step: str) -> dict[str, str]:
    """The fields of a status callback. A message that WhatsApp would not take has failed, one that it took is undelivered."""
    code = FAILURES.get(queued.conduct.failure or 0, 63023) if step == "failed" else None
    status = "undelivered" if step == "failed" and queued.conduct.steps.index("failed") > 0 else step
    fields = {
        "MessageSid": queued.sid,
        "SmsSid": queued.sid,
        "MessageStatus": status,
        "SmsStatus": status,
        "AccountSid": queued.sender.spec.account_id,
        "ApiVersion": API_VERSION,
        "From": queued.sender.address,
        "To": f"whatsapp:+{queued.recipient}",
        "ChannelPrefix": "whatsapp",
        "ChannelToAddress": f"+{queued.recipient}",
    }
    if code is not None:
        fields["ErrorCode"] = str(code)
    return fields


def _fault_of(form: dict[str, str]) -> int | None:
    """The code of what is wrong with a message's content or callback; None where nothing is."""
    if (callback_url := form.get("StatusCallback")) is not None and not _URL.fullmatch(callback_url):
        return 21609
    if len(form.get("Body", "")) > LONGEST_BODY:
        return 21617
    if (content_sid := form.get("ContentSid")) is not None:
        return _fault_of_variables(form.get("ContentVariables")) if _CONTENT_SID.fullmatch(content_sid) else 21655
    return None if form.get("Body") or form.get("MediaUrl") else 21602


def _fault_of_variables(text: str | None) -> int | None:
    try:
        return None if text is None or isinstance(orjson.loads(text), dict) else 21656
    except orjson.JSONDecodeError:
        return 21656


def _digits(address: str | None) -> str | None:
    found = _ADDRESS.fullmatch(address or "")
    return None if found is None else found[1]


def _attempt(callback_url: str | None) -> str | None:
    values = parse_qs(urlsplit(callback_url).query).get(ATTEMPT) if callback_url is not None else None
    return values[0] if values else None

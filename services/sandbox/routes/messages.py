"""`POST /{version}/{phone_number_id}/messages`: the hot path, a straight function."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from services.sandbox.accept import accept
from services.sandbox.answers import Answer, Manner, Prompt, Reply, graph_error, graph_text
from services.sandbox.domain.errors import GraphError
from services.sandbox.domain.payload import Outgoing, ReadReceipt, parse
from services.sandbox.numbers import Number
from services.sandbox.request import Request
from services.sandbox.routes.bodies import decode
from services.sandbox.world import World
from shared.telemetry.tracing import Tracing, is_sampled

_SUCCESS: Final = graph_text('{"success":true}')


class Messages:
    """Sends and read receipts."""

    def __init__(self, world: World, tracing: Tracing) -> None:
        self._world = world
        self._tracing = tracing

    def post(self, request: Request, phone_number_id: str, *, is_marketing: bool = False) -> Answer:
        traceparent = request.headers.get(b"traceparent")
        if traceparent is not None and is_sampled(told := traceparent.decode("latin-1")):
            return self._traced(request, phone_number_id, told, is_marketing)
        try:
            return self._post(request, phone_number_id, is_marketing)
        except GraphError as error:
            return graph_error(error)

    async def _traced(self, request: Request, phone_number_id: str, traceparent: str, is_marketing: bool) -> Prompt:  # noqa: FBT001  # as it came
        """A span that lasts until the answer is due."""
        with self._tracing.span("POST /{phone_number_id}/messages", kind="server", traceparent=traceparent) as span:
            try:
                answer = self._post(request, phone_number_id, is_marketing)
            except GraphError as error:  # an answer like others, not the span's failure by exception
                span.fail(str(error.code))
                return graph_error(error)
            if isinstance(answer, Reply) and answer.manner is Manner.ANSWER:
                await asyncio.sleep(answer.after_seconds)
                return replace(answer, after_seconds=0.0)
            return answer

    def _post(self, request: Request, phone_number_id: str, is_marketing: bool) -> Prompt:  # noqa: FBT001  # as it came
        world = self._world
        world.ledger.received += 1
        number = world.numbers.find(phone_number_id)
        try:
            if number is None or request.headers.get(b"Authorization") not in number.authorizations:
                number = self._authorize(request, phone_number_id)
            message = parse(decode(request))
            if isinstance(message, ReadReceipt):
                world.ledger.read_receipts += 1
                return _SUCCESS
            if is_marketing and not self._is_marketing(number, message):
                raise GraphError(134100)
            return accept(world, number, message)
        except GraphError as error:
            known = None if number is None else phone_number_id
            world.ledger.refuse(known, error.code, world.clock.now().timestamp())
            raise

    def _is_marketing(self, number: Number, message: Outgoing) -> bool:
        """Whether it is of a template that is none of another category."""
        use = message.template
        template = None if use is None else self._world.templates.find(number.line.waba_id, use.name, use.language)
        return use is not None and (template is None or template.spec.category == "MARKETING")

    def _authorize(self, request: Request, phone_number_id: str) -> Number:
        """The number, by whatever way of authorisation."""
        header = request.header(b"Authorization")
        return self._world.numbers.authorize(phone_number_id, header, request.query.get("access_token"), "post")

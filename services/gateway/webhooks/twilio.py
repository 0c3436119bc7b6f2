"""Twilio's webhooks, the first step: whose is it, and is it stored. The second step is the Cloud API's (`ingest`)."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

import orjson

from services.gateway.domain import twilio
from services.gateway.numbers import NumberDirectory
from services.gateway.webhooks.intake import Intake
from shared.clock import Clock
from shared.events.values import Provider

MOST_FIELDS: Final = 200
"""Twilio's forms have some thirty."""


class TwilioIntake:
    """Takes a form that the number's auth token signed. `public_url` is this API's address as Twilio calls it."""

    def __init__(self, intake: Intake, numbers: NumberDirectory, public_url: str, clock: Clock) -> None:
        self._intake = intake
        self._numbers = numbers
        self._public_url = public_url
        self._clock = clock

    async def take(
        self,
        number_id: str,
        path_and_query: str,
        attempt: str | None,
        body: bytes,
        signature: str | None,
        traceparent: str | None,
    ) -> None:
        """Make a signed form durable. `path_and_query` is the request's target as it was sent, which the signature covers.

        Raises `Rejected` 401 for one that is not signed as it must be, 503 when too many wait.
        """
        source = await self._numbers.called_back(number_id, Provider.TWILIO)
        fields, now = _fields(body), self._clock.now()
        url = self._public_url.rstrip("/") + path_and_query
        if (
            source is None
            or fields is None
            or not any(twilio.verify(secret, signature, url, fields) for secret in source.secrets(now))
        ):
            raise self._intake.unsigned("the URL and the form")
        payload = twilio.payload(fields, source.phone_number_id, attempt, now)
        await self._intake.keep(source.tenant_id, orjson.dumps(payload), traceparent)


def _fields(body: bytes) -> list[tuple[str, str]] | None:
    """The form's fields; None where it is none."""
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        return None

"""What the sandbox received and accepted, and when: the witness that tests and benchmarks ask whether a message came once."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any, Final

from services.sandbox.domain import wamid
from services.sandbox.tally import Tally

_UNIQUE: Final = wamid.OUTBOUND_ID_BYTES
_MAX_DIGITS: Final = 18


class Ledger:
    """One record per `biz_opaque_callback_data`, the exact string; columns instead of objects, for millions of records.

    Times are seconds since 1970. Beyond `limit` records new ones are only counted, as `unrecorded`.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.generation = 0
        """Another one after each `clear`: positions mean nothing in it."""
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.generation += 1
        self._index: dict[str, int] = {}
        self._ids: list[str] = []
        self._counts = array("I")
        self._answered = array("I")
        self._first_at = array("d")
        self._last_at = array("d")
        self._recipients = array("Q")
        self._other_recipients: dict[int, str] = {}
        """Those that are no digits: user ids and groups."""
        self._numbers = array("I")
        self._unique = bytearray()
        self._tallies: dict[str, Tally] = {}
        self._tally_list: list[Tally] = []
        self.received = 0
        self.accepted = 0
        self.answered = 0
        self.duplicates = 0
        self.without_id = 0
        self.unrecorded = 0
        self.read_receipts = 0
        self.over_portfolio_limit = 0
        self.refused: Counter[int] = Counter()
        self.fates: Counter[str] = Counter()
        self.first_accepted_at = 0.0
        self.last_accepted_at = 0.0

    def accept(self, callback_data: str | None, recipient: str, unique: bytes, now: float, number: str) -> int | None:
        """Record a message that `number` sent. Returns the record's position, for `answer`; None where there is no record.

        `unique` are the bytes its wamid was made of.
        """
        self.accepted += 1
        if self.first_accepted_at == 0.0:
            self.first_accepted_at = now
        self.last_accepted_at = now
        tally = self._tallies.get(number) or self.tally(number)
        tally.accepted.count(now)
        if callback_data is None:
            self.without_id += 1
            return None
        at = self._index.get(callback_data)
        if at is not None:
            self.duplicates += 1
            self._counts[at] += 1
            self._last_at[at] = now
            self._recipients[at] = self._packed(at, recipient)
            self._numbers[at] = tally.index
            self._unique[at * _UNIQUE : (at + 1) * _UNIQUE] = unique
            return at
        at = len(self._ids)
        if at >= self._limit:
            self.unrecorded += 1
            return None
        self._index[callback_data] = at
        self._ids.append(callback_data)
        self._counts.append(1)
        self._answered.append(0)
        self._first_at.append(now)
        self._last_at.append(now)
        self._recipients.append(self._packed(at, recipient))
        self._numbers.append(tally.index)
        self._unique += unique
        return at

    def answer(self, at: int | None) -> None:
        """The accepted message of record `at` got its HTTP 200 (handed to the connection; whether it arrived, nobody knows)."""
        self.answered += 1
        if at is not None and at < len(self._answered):
            self._answered[at] += 1

    def refuse(self, number: str | None, code: int, now: float) -> None:
        """A request was refused; `number` is None where it named none that exists."""
        self.refused[code] += 1
        if number is not None:
            tally = self.tally(number)
            tally.codes[code] += 1
            tally.refused.count(now)

    def count_inbound(self, number: str, now: float) -> None:
        """A user wrote to the number."""
        self.tally(number).inbound.count(now)

    def count_over_portfolio_limit(self, number: str) -> None:
        """A message was accepted beyond the users its portfolio may reach."""
        self.over_portfolio_limit += 1
        self.tally(number).over_portfolio_limit += 1

    def tally(self, number: str) -> Tally:
        """What is counted per number; one that was never seen has nothing yet."""
        tally = self._tallies.get(number)
        if tally is None:
            tally = self._tallies[number] = Tally(number, len(self._tally_list))
            self._tally_list.append(tally)
        return tally

    def tallies(self) -> list[Tally]:
        """Of all numbers that sent or were written to."""
        return list(self._tally_list)

    def record(self, at: int) -> dict[str, Any]:
        recipient = self._other_recipients.get(at) or str(self._recipients[at])[1:]
        return {
            "id": self._ids[at],
            "count": self._counts[at],
            "answered": self._answered[at],
            "first_at": self._first_at[at],
            "last_at": self._last_at[at],
            "to": recipient,
            "phone_number_id": self._tally_list[self._numbers[at]].number,
            "wamid": wamid.outbound(recipient, bytes(self._unique[at * _UNIQUE : (at + 1) * _UNIQUE])),
        }

    def find(self, callback_data: str) -> dict[str, Any] | None:
        at = self._index.get(callback_data)
        return None if at is None else self.record(at)

    def page(self, start: int, limit: int, min_count: int) -> tuple[list[dict[str, Any]], int | None]:
        """Up to `limit` records with at least `min_count` acceptances, from position `start` in the order of first acceptance,
        and the position to go on from (None at the end)."""
        records: list[dict[str, Any]] = []
        counts = self._counts
        for at in range(start, len(counts)):
            if counts[at] >= min_count:
                if len(records) == limit:
                    return records, at
                records.append(self.record(at))
        return records, None

    def totals(self) -> dict[str, Any]:
        """`accepted` = `distinct` + `duplicates` + `without_id` + `unrecorded`."""
        return {
            "received": self.received,
            "accepted": self.accepted,
            "answered": self.answered,
            "distinct": len(self._ids),
            "duplicates": self.duplicates,
            "without_id": self.without_id,
            "unrecorded": self.unrecorded,
            "read_receipts": self.read_receipts,
            "over_portfolio_limit": self.over_portfolio_limit,
            "refused": {str(code): count for code, count in sorted(self.refused.items())},
            "fates": dict(sorted(self.fates.items())),
            "first_accepted_at": self.first_accepted_at or None,
            "last_accepted_at": self.last_accepted_at or None,
        }

    def _packed(self, at: int, recipient: str) -> int:
        """Digits as a number, behind a 1 that keeps leading zeros; anything else is kept as it is, beside."""
        if recipient.isdigit() and len(recipient) <= _MAX_DIGITS:
            if self._other_recipients:
                self._other_recipients.pop(at, None)
            return int("1" + recipient)
        self._other_recipients[at] = recipient
        return 0

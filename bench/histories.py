"""Chat histories as phones export them, of any size: several languages, everything that people and the application put into a chat.

The same seed gives the same bytes. Texts are drawn from a pool, so that words come as often as words do.

    python -m bench.histories 100 android > chat.txt        100 MB
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Final, Literal

Platform = Literal["android", "ios"]
BLOCK: Final = 10_000
"""Messages that are drawn at once."""
POOL: Final = 30_000
FIRST: Final = datetime(2019, 3, 2, 8, 0, tzinfo=UTC)
LAST: Final = datetime(2026, 3, 2, tzinfo=UTC)
"""Entries of the future would not be stored."""
STEPS: Final = (3, 9, 20, 45, 120, 600, 5_000, 30_000)
"""Seconds between two messages, of a chat that is not in a hurry; with their weights, their mean, and about the bytes of one."""
STEP_WEIGHTS: Final = (20, 20, 20, 15, 12, 8, 4, 1)
STEP_SECONDS: Final = 575
MESSAGE_BYTES: Final = 75
PEOPLE: Final = (
    "Anna Keller", "Bj\u00f6rn", "Carla D\u00edaz", "\u0414\u043c\u0438\u0442\u0440\u0438\u0439", "Emeka O.",
    "\u0641\u0627\u0637\u0645\u0629", "Gita \U0001f33b", "+44 20 7946 0000",
)  # fmt: skip
_WORDS: Final = {
    "en": "the to and you a is it in of that for on we be have are do not at with this me can so if was they will what just"
    " order parcel invoice tomorrow meeting delivery street number thanks please already again maybe sure great today later",
    "es": "de que la el en y a los se del las un por con no una su para es al lo como pero sus le ya este si porque esta"
    " pedido factura ma\u00f1ana entrega calle n\u00famero gracias reuni\u00f3n tambi\u00e9n hoy luego bueno tarde",
    "de": "die der und in zu den das nicht von sie ist des sich mit dem dass er es ein ich auf so eine auch als an nach wie"
    " Bestellung Rechnung morgen Lieferung Stra\u00dfe Nummer danke bitte schon sp\u00e4ter heute gut",
    "pt": "de a o que e do da em um para com n\u00e3o uma os no se na por mais as dos como mas ao ele das tem seu sua ou"
    " pedido fatura amanh\u00e3 entrega rua n\u00famero obrigado reuni\u00e3o tamb\u00e9m hoje depois",
    "ru": "и в не на я быть он с что а по это она к но мы как из заказ завтра улица спасибо счёт встреча",
    "ar": "في من على إلى أن هذا مع لا ما طلب غدا شارع شكرا اليوم",
    "hi": "है के में की से का और को पर आज कल धन्यवाद घर",
}  # fmt: skip
_SHARES: Final = {"en": 40, "es": 18, "de": 14, "pt": 12, "ru": 8, "ar": 4, "hi": 4}
_SYLLABLES: Final = ["ka", "ro", "mi", "ten", "sul", "va", "lo", "ber", "nix", "tra", "po", "den", "ist", "or", "gal", "fu"]
_EMOJI: Final = ("\U0001f602", "\U0001f44d", "\u2764\ufe0f", "\U0001f469\u200d\U0001f4bb", "\U0001f64f", "\U0001f389")


def history(
    size_bytes: int, platform: Platform = "android", *, seed: int = 1, people: Sequence[str] = PEOPLE
) -> Iterator[bytes]:
    """The file in blocks, at least so long; it ends with a whole record."""
    chance = random.Random(seed)  # noqa: S311  # nothing secret
    pool = texts(chance, POOL)
    written, at = 0, FIRST
    # A chat that would go on beyond LAST is a busier one.
    pace = min(1.0, (LAST - FIRST).total_seconds() / STEP_SECONDS / (size_bytes / MESSAGE_BYTES))
    first = _notice(platform, at, "Messages and calls are end-to-end encrypted. Only people in this chat can read them.")
    block = first
    while written < size_bytes:
        lines, at = _block(chance, platform, at, pace, people, pool)
        block = (block + "".join(lines)) if written == 0 else "".join(lines)
        data = block.encode()
        written += len(data)
        yield data


def texts(chance: random.Random, how_many: int) -> list[str]:
    """What people say: some nine words of one language, now and then a rare one, an emoji, a link, a number, a second line."""
    vocabulary = {language: words.split() for language, words in _WORDS.items()}
    rare = ["".join(chance.choices(_SYLLABLES, k=chance.randint(2, 4))) for _ in range(4000)]
    weights = {
        language: list(accumulate(1 / (rank + 2) for rank in range(len(words)))) for language, words in vocabulary.items()
    }
    languages = chance.choices(list(_SHARES), list(_SHARES.values()), k=how_many)
    return [_text(chance, vocabulary[language], weights[language], rare) for language in languages]


def _text(chance: random.Random, words: Sequence[str], weights: Sequence[float], rare: Sequence[str]) -> str:
    said = chance.choices(words, cum_weights=weights, k=min(60, 1 + int(chance.expovariate(1 / 9))))
    luck = chance.random()
    if luck < 0.3:
        said[chance.randrange(len(said))] = chance.choice(rare)
    if luck > 0.85:
        said.append(chance.choice(_EMOJI) * chance.randint(1, 3))
    elif luck > 0.82:
        said.append(f"https://example.org/{chance.choice(rare)}/{chance.randrange(10_000)}")
    elif luck > 0.76:
        said.append(str(chance.randrange(100_000)))
    body = " ".join(said)
    if 0.3 < luck < 0.4:
        body = body.replace(" ", "\n", 1 + int(luck * 100) % 3)
    return body[:1].upper() + body[1:] + (chance.choice(("", ".", "!", "?")) if luck < 0.6 else "")


def _block(
    chance: random.Random, platform: Platform, at: datetime, pace: float, people: Sequence[str], pool: Sequence[str]
) -> tuple[list[str], datetime]:
    paces = [max(1, round(step * pace)) for step in STEPS]
    steps = chance.choices(paces, STEP_WEIGHTS, k=BLOCK)
    who = chance.choices(people, range(len(people), 0, -1), k=BLOCK)
    said = chance.choices(pool, k=BLOCK)
    kinds = chance.choices(range(100), k=BLOCK)
    android = platform == "android"
    lines: list[str] = []
    end = "\n" if android else "\r\n"
    second = timedelta(seconds=1)
    for step, name, body, kind in zip(steps, who, said, kinds, strict=True):
        at += step * second
        mark = ""
        if kind >= 86:
            mark, body = _special(chance, platform, at, kind, body, len(lines))  # noqa: PLW2901
            if kind == 98:
                lines.append(
                    _notice(platform, at, f"{name} changed the subject from \u201cA\u201d to \u201cPlan: {kind}\u201d")
                )
                continue
        if android:
            lines.append(f"{at.day:02}/{at.month:02}/{at.year}, {at.hour:02}:{at.minute:02} - {name}: {body}{end}")
        else:
            lines.append(f"{mark}[{at.day:02}.{at.month:02}.{at.year % 100}, {at:%H:%M:%S}] {name}: {body}{end}")
    return lines, at


def _special(chance: random.Random, platform: Platform, at: datetime, kind: int, body: str, number: int) -> tuple[str, str]:
    """A mark before the header and the body, of what is not only text."""
    android = platform == "android"
    if kind < 91:
        return ("", "<Media omitted>") if android else ("\u200e", "\u200eimage omitted")
    if kind < 94:
        name = f"IMG-{at:%Y%m%d}-WA{number % 10_000:04}.jpg"
        ios = f"{body} \u200e<attached: {number:08}-PHOTO-{at:%Y-%m-%d-%H-%M-%S}.jpg>"
        return ("", f"\u200e{name} (file attached)\n{body}") if android else ("\u200e", ios)
    if kind == 94:
        return ("", "This message was deleted") if android else ("\u200e", "\u200eThis message was deleted.")
    if kind == 95:
        return "", f"{body} \u200e<This message was edited>"
    if kind == 96:
        url = f"https://maps.google.com/?q={chance.uniform(-60, 60):.6f},{chance.uniform(-180, 180):.6f}"
        return ("", f"location: {url}") if android else ("\u200e", f"\u200eLocation: {url}")
    if kind == 97 and number % 4 == 0:
        return "", f"POLL:\n{body.splitlines()[0]}\n\u200eOPTION: Yes ({number % 7} votes)\n\u200eOPTION: No (1 vote)"
    if kind == 99 and number % 10 == 0:
        return "", f"{body}\n3/2/17, 9:05 PM - Somebody: pasted from elsewhere"
    return "", body


def _notice(platform: Platform, at: datetime, words: str) -> str:
    if platform == "android":
        return f"{at.day:02}/{at.month:02}/{at.year}, {at.hour:02}:{at.minute:02} - {words}\n"
    return f"[{at.day:02}.{at.month:02}.{at.year % 100}, {at:%H:%M:%S}] The Group: \u200e{words}\r\n"


if __name__ == "__main__":
    for part in history(int(sys.argv[1]) * 1_000_000, "ios" if sys.argv[2:] == ["ios"] else "android"):
        sys.stdout.buffer.write(part)

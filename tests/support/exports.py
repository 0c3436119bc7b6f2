"""Chats written as phones write them: every header of the format's description, and what stands in bodies on both platforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.archive.domain.imported import Kind

LRM: Final = "\u200e"
RLM: Final = "\u200f"
NARROW: Final = "\u202f"
NBSP: Final = "\u00a0"
ARABIC: Final = str.maketrans("0123456789", "\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669")
PERSIAN: Final = str.maketrans("0123456789", "\u06f0\u06f1\u06f2\u06f3\u06f4\u06f5\u06f6\u06f7\u06f8\u06f9")
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Locale:
    """How a phone writes: `header` up to where the author begins, `is_ios` in what the application writes into bodies."""

    name: str
    header: Callable[[datetime], str]
    is_ios: bool = False
    has_seconds: bool = False
    is_month_first: bool = False
    author_end: str = ": "
    encoding: str = "utf-8"
    words: Words | None = None

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Words:
    """What the application writes, in a language."""

    encrypted: str = "Messages and calls are end-to-end encrypted. Only people in this chat can read, listen to, or share them."
    image_omitted: str = "image omitted"
    media_omitted: str = "Media omitted"
    attached: str = "attached: {}"
    file_attached: str = "file attached"
    deleted: str = "This message was deleted"
    edited: str = "This message was edited"
    location: str = "Location"
    missed_call: str = "Missed voice call"
    poll: str = "POLL"
    option: str = "OPTION"


ENGLISH: Final = Words()
GERMAN: Final = Words(
    "Nachrichten und Anrufe sind Ende-zu-Ende-verschl\u00fcsselt.", "Bild weggelassen", "Medien ausgeschlossen", "Anhang: {}",
    "Datei angeh\u00e4ngt", "Diese Nachricht wurde gel\u00f6scht", "Diese Nachricht wurde bearbeitet.", "Standort",
    "Verpasster Sprachanruf", "ABSTIMMUNG", "OPTION",
)  # fmt: skip
SPANISH: Final = Words(
    "Los mensajes y las llamadas est\u00e1n cifrados de extremo a extremo.", "imagen omitida", "Multimedia omitido", "adjunto: {}",
    "archivo adjunto", "Se elimin\u00f3 este mensaje", "Se edit\u00f3 este mensaje.", "Ubicaci\u00f3n", "Llamada perdida",
    "ENCUESTA", "OPCI\u00d3N",
)  # fmt: skip
FRENCH: Final = Words(
    "Les messages et les appels sont chiffr\u00e9s de bout en bout.", "image absente", "M\u00e9dias omis", "pi\u00e8ce jointe : {}",
    "fichier joint", "Ce message a \u00e9t\u00e9 supprim\u00e9", "Ce message a \u00e9t\u00e9 modifi\u00e9", "Localisation",
    "Appel vocal manqu\u00e9", "SONDAGE",
)  # fmt: skip
TURKISH: Final = Words(
    "Mesajlar ve aramalar u\u00e7tan uca \u015fifrelidir.", "g\u00f6r\u00fcnt\u00fc dahil edilmedi", "Medya dahil edilmedi",
    "{} eklendi", "dosya ekli", "Bu mesaj silindi", location="Konum", missed_call="Cevaps\u0131z sesli arama",
)  # fmt: skip
ARABIC_WORDS: Final = Words(
    "\u0627\u0644\u0631\u0633\u0627\u0626\u0644 \u0645\u0634\u0641\u0631\u0629 \u062a\u0645\u0627\u0645\u064b\u0627",
    "\u0644\u0645 \u064a\u062a\u0645 \u0625\u062f\u0631\u0627\u062c \u0627\u0644\u0635\u0648\u0631\u0629",
    "\u062a\u0645 \u0627\u0633\u062a\u0628\u0639\u0627\u062f \u0627\u0644\u0648\u0633\u0627\u0626\u0637",
    "\u0627\u0644\u0645\u064f\u0631\u0641\u0642: {}", "\u0627\u0644\u0645\u0644\u0641 \u0645\u0631\u0641\u0642",
    "\u062a\u0645 \u062d\u0630\u0641 \u0647\u0630\u0647 \u0627\u0644\u0631\u0633\u0627\u0644\u0629",
)  # fmt: skip
CHINESE: Final = Words(
    "\u8a0a\u606f\u548c\u901a\u8a71\u7d93\u904e\u7aef\u5c0d\u7aef\u52a0\u5bc6\u3002", "\u5716\u7247\u5df2\u7565\u53bb",
    "\u5ffd\u7565\u591a\u5a92\u9ad4\u6a94", "\u9644\u4ef6:{}", "\u9644\u4ef6\u6a94\u6848",
    "\u6b64\u8a0a\u606f\u5df2\u522a\u9664\u3002",
)  # fmt: skip


@dataclass(frozen=True)
class Message:
    """What is written and, for the reader, expected. `file_name` only where a file came with it."""

    at: datetime
    author: str | None
    kind: Kind
    body: str = ""
    file_name: str | None = None
    is_edited: bool = False
    options: tuple[tuple[str, int], ...] = ()


def _padded(at: datetime, pattern: str) -> str:
    return pattern.format(
        d=at.day, dd=f"{at.day:02}", m=at.month, mm=f"{at.month:02}", y=at.year, yy=f"{at.year % 100:02}", H=f"{at.hour:02}",
        h=at.hour % 12 or 12, M=f"{at.minute:02}", S=f"{at.second:02}", b=MONTHS[at.month - 1], be=at.year + 543,
        era=at.year - 2018,
        pm="PM" if at.hour > 11 else "AM", pmlow="pm" if at.hour > 11 else "am", pmdots="p.m." if at.hour > 11 else "a.m.",
        pmes="p." if at.hour > 11 else "a.", ko="\uc624\ud6c4" if at.hour > 11 else "\uc624\uc804",
        zh="\u4e0b\u5348" if at.hour > 11 else "\u4e0a\u5348", ja="\u5348\u5f8c" if at.hour > 11 else "\u5348\u524d",
        ar="\u0645" if at.hour > 11 else "\u0635", el="\u039c\u039c" if at.hour > 11 else "\u03a0\u039c",
        vi="CH" if at.hour > 11 else "SA",
    )  # fmt: skip


def _android(name: str, pattern: str, **more: object) -> Locale:
    return Locale(f"android {name}", lambda at: _padded(at, pattern), **more)  # type: ignore[arg-type]


def _ios(name: str, pattern: str, **more: object) -> Locale:
    return Locale(f"ios {name}", lambda at: _padded(at, pattern), is_ios=True, has_seconds=True, **more)  # type: ignore[arg-type]


LOCALES: Final[Sequence[Locale]] = (
    _android("en-GB", "{dd}/{mm}/{y}, {H}:{M} - "),
    _android("es", "{d}/{m}/{yy}, {H}:{M} - ", words=SPANISH),
    _android("en-US", "{m}/{d}/{yy}, {h}:{M} {pm} - ", is_month_first=True),
    _android("en-US 2023", "{m}/{d}/{yy}, {h}:{M}" + NARROW + "{pm} - ", is_month_first=True),
    _android("en-IN", "{d}/{m}/{yy}, {h}:{M} {pmlow} - "),
    _android("es-MX", "{d}/{m}/{y}, {h}:{M}" + NARROW + "{pmes}" + NBSP + "m. - ", words=SPANISH),
    _android("en-CA", "{y}-{mm}-{dd}, {h}:{M} {pmdots} - "),
    _android("de", "{dd}.{mm}.{yy}, {H}:{M} - ", words=GERMAN),
    _android("ru", "{dd}.{mm}.{y}, {H}:{M} - "),
    _android("cs", "{dd}.{mm}.{yy} {H}:{M} - "),
    _android("pt-BR", "{dd}/{mm}/{y} {H}:{M} - "),
    _android("nl", "{dd}-{mm}-{y} {H}:{M} - "),
    _android("fi", "{d}.{m}.{y} klo {h24}.{M} - ".replace("{h24}", "{H}")),
    _android("id", "{dd}/{mm}/{yy} {H}.{M} - "),
    _android("fr", "{dd}/{mm}/{y} \u00e0 {H}:{M} - ", words=FRENCH),
    _android("hu", "{y}. {mm}. {dd}. {H}:{M} - "),
    _android("ja", "{y}/{mm}/{dd} {H}:{M} - "),
    _android("zh", "{y}/{mm}/{dd}, {H}:{M} - ", words=CHINESE),
    _android("sv", "{y}-{mm}-{dd} {H}:{M} - "),
    _android("ko", "{y}. {m}. {d}. {ko} {h}:{M}, ", author_end=" : "),
    _android("zh-TW", "{y}/{m}/{d} {zh}{h}:{M} - ", words=CHINESE),
    _android("zh-HK", "{y}/{m}/{d} {h}:{M}{zh} - ", words=CHINESE),
    _android("el", "{d}/{m}/{yy}, {h}:{M} {el} - "),
    _android("vi", "{H}:{M}, {dd}/{mm}/{y} - "),
    _android("2014", "{H}:{M}, {d} {b} {y} - "),
    _android("2015", "{b} {d}, {y}, {h}:{M} {pm} - "),
    _android("en dash", "{mm}/{dd}/{yy}, {h}:{M}:{S} {pm} \u2013 ", has_seconds=True, is_month_first=True),
    _android("UTF-16", "{dd}/{mm}/{y}, {H}:{M} - ", encoding="utf-16"),
    Locale("android fa", lambda at: _padded(at, "{y}/{mm}/{dd}, {H}:{M}").translate(PERSIAN) + " - "),
    Locale("android ar", lambda at: _padded(at, f"{{d}}{RLM}/{{m}}{RLM}/{{y}}\u060c {{h}}:{{M}} {{ar}}").translate(ARABIC) + " - "),
    _ios("en-US", "[{m}/{d}/{yy}, {H}:{M}:{S}] ", is_month_first=True),
    _ios("en-US 12 h", "[{m}/{d}/{yy}, {h}:{M}:{S}" + NARROW + "{pm}] ", is_month_first=True),
    _ios("en-GB", "[{dd}/{mm}/{y}, {H}:{M}:{S}] "),
    _ios("de", "[{dd}.{mm}.{yy}, {H}:{M}:{S}] ", words=GERMAN),
    _ios("fr", "[{dd}/{mm}/{y} {H}:{M}:{S}] ", words=FRENCH),
    _ios("es", "[{d}/{m}/{yy} {H}:{M}:{S}] ", words=SPANISH),
    _ios("nl", "[{dd}-{mm}-{y} {H}:{M}:{S}] "),
    _ios("tr", "[{d}.{mm}.{y} {H}:{M}:{S}] ", words=TURKISH),
    _ios("en-CA", "[{y}-{mm}-{dd}, {h}:{M}:{S}" + NARROW + "{pmdots}] "),
    _ios("zh", "[{y}/{m}/{d} {zh}{h}:{M}:{S}] ", words=CHINESE),
    _ios("ja", "[{y}/{mm}/{dd} {ja}{h}:{M}:{S}] "),
    _ios("id", "[{d}/{m}/{yy} {H}.{M}.{S}] "),
    _ios("vi", "[{H}:{M}:{S}, {d}/{m}/{yy}] "),
    _ios("dashes", "[{mm}-{dd}-{y}, {H}:{M}:{S}] ", is_month_first=True),
    _ios("th", "[{d}/{m}/{be} {H}:{M}:{S}] "),
    _ios("BE", "[{m}/{d}/{be} BE, {H}:{M}:{S}] ", is_month_first=True),
    _ios("ja era", "[{m}/{d}/R{era}, {H}:{M}:{S}] ", is_month_first=True),
    Locale(
        "ios ar",
        lambda at: "[" + _padded(at, f"{{d}}{RLM}/{{m}}{RLM}/{{y}}\u060c {{h}}:{{M}}:{{S}}{NBSP}{{ar}}").translate(ARABIC) + "] ",
        is_ios=True, has_seconds=True, words=ARABIC_WORDS,
    ),
    _ios("rtl latin", "[" + RLM + "{d}/{m}/{y}, {H}:{M}:{S}] "),
    _ios("2015", "{dd}/{mm}/{y} {H}:{M}:{S}: "),
    _ios("2016", "{y}-{mm}-{dd}, {h}:{M}:{S} {pm}: "),
    _ios("2018", "{dd}-{mm}-{yy} {H}:{M}:{S} "),
)  # fmt: skip


def render(messages: Sequence[Message], locale: Locale, *, group: str = "The Team") -> bytes:
    """The file of a chat. `group` is the author of notices on iOS."""
    end = "\r\n" if locale.is_ios and locale.header(messages[0].at).startswith("[") else "\n"
    return "".join(_record(message, locale, group) + end for message in messages).encode(locale.encoding)


def _record(message: Message, locale: Locale, group: str) -> str:
    words = locale.words or ENGLISH
    is_bracketed = locale.header(message.at).startswith("[")
    author = message.author if message.author is not None else group if is_bracketed else None
    said = _on_ios(message, words) if is_bracketed else _on_android(message, words)
    mark = LRM if is_bracketed and (message.file_name or message.kind is Kind.IMAGE) else ""
    return f"{mark}{locale.header(message.at)}{'' if author is None else author + locale.author_end}{said}"


def _common(message: Message, words: Words) -> str:
    match message.kind:
        case Kind.POLL:
            options = "".join(f"\n{LRM}{words.option}: {name} ({votes} votes)" for name, votes in message.options)
            return f"{words.poll}:\n{message.body}{options}"
        case Kind.EMPTY:
            return "null"
        case _:
            edited = f" {LRM}<{words.edited}>" if message.is_edited else ""
            return message.body + edited


def _on_ios(message: Message, words: Words) -> str:
    match message.kind:
        case Kind.NOTICE:
            return f"{LRM}{words.encrypted}"
        case Kind.IMAGE if message.file_name is None:
            return LRM + words.image_omitted if not message.body else f"{message.body} {LRM}{words.image_omitted}"
        case kind if message.file_name is not None and kind is not Kind.TEXT:
            attached = f"{LRM}<{words.attached.format(message.file_name)}>"
            return f"{message.body} {attached}" if message.body else attached
        case Kind.REVOKED:
            return f"{LRM}{words.deleted}."
        case Kind.CALL:
            return f"{LRM}{words.missed_call}. {LRM}Tap to call back"
        case Kind.LOCATION:
            return f"{LRM}{words.location}: {message.body}"
        case _:
            return _common(message, words)


def _on_android(message: Message, words: Words) -> str:
    match message.kind:
        case Kind.NOTICE:
            return words.encrypted
        case Kind.IMAGE if message.file_name is None:
            return f"<{words.media_omitted}>" + (f"\n{message.body}" if message.body else "")
        case kind if message.file_name is not None and kind is not Kind.TEXT:
            return f"{LRM}{message.file_name} ({words.file_attached})" + (f"\n{message.body}" if message.body else "")
        case Kind.REVOKED:
            return words.deleted
        case Kind.CALL:
            return words.missed_call
        case Kind.LOCATION:
            return f"{words.location.lower()}: {message.body}"
        case _:
            return _common(message, words)

"""Variables in content: `{{name}}` where the Cloud API's shape holds text that people read, and nowhere else.

A value is put in as it is: what it holds is never looked through for variables again. Limits are the provider's (WhatsApp Cloud
API, messages reference, read 2026-11).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from shared.content import parse
from shared.errors import FieldError
from shared.events.values import Content

MAX_TEXT: Final = 4096
MAX_FILLED: Final = 16_384
"""Characters of all values in a content, far more than the provider takes: a short text can ask for a value thousands of times."""
MAX_NAME: Final = 64
NAME_PATTERN: Final = rf"^[A-Za-z0-9_][A-Za-z0-9_.-]{{0,{MAX_NAME - 1}}}$"
_VARIABLE: Final = re.compile(rf"\{{\{{\s*([A-Za-z0-9_][A-Za-z0-9_.-]{{0,{MAX_NAME - 1}}})\s*\}}\}}")
_READ: Final = frozenset(
    {
        "body", "text", "caption", "title", "description", "display_text", "filename", "link", "url", "payload", "coupon_code",
        "fallback_value", "address", "latitude", "longitude",
    }
)  # fmt: skip
"""Members whose text may hold variables. Names, languages, types and ids say what the message is: they stay as they are."""

MALFORMED: Final = "holds {{ without the name of a variable and }}"

Lookup = Callable[[str], str | None]
"""A variable's value; None where it has none."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is nothing to say to somebody. `detail` names the variable, never a value; `pointer` is the field, where one is to
    blame."""

    code: str
    detail: str
    pointer: str = ""


class Reader(Protocol):
    """Whom a message is rendered for: what is known of them fills variables."""

    @property
    def to(self) -> str: ...
    @property
    def name(self) -> str | None: ...
    @property
    def language(self) -> str | None: ...
    @property
    def attributes(self) -> Mapping[str, Any]: ...
    @property
    def variables(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True, repr=False)
class Named:
    """A reader of whom nothing is known but what the request says. Holds a phone number, so it has no `repr`."""

    to: str = ""
    name: str | None = None
    language: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)


def names_in(value: Any) -> Iterator[str]:
    """The variables of a content, in the order they are read; one that stands twice comes twice."""
    for text in _texts(value, ""):
        yield from _VARIABLE.findall(text)


def _texts(value: Any, key: str) -> Iterator[str]:
    """What people read of a content."""
    return (text for _, text in _places(value, key, ""))


def _places(value: Any, key: str, pointer: str) -> Iterator[tuple[str, str]]:
    """The same, each with its place."""
    if isinstance(value, str):
        if key in _READ:
            yield pointer, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _places(inner, name, f"{pointer}/{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _places(inner, key, f"{pointer}/{index}")


def is_well_formed(text: str) -> bool:
    """False where braces open that no variable's name fills: somebody meant one."""
    return "{{" not in _VARIABLE.sub("", text)


def malformed_errors(content: Content) -> list[FieldError]:
    """A fault for each text of a content that is not well-formed: it would go out as it stands."""
    return [
        FieldError(pointer, "template.malformed", MALFORMED)
        for pointer, text in _places(content, "", "")
        if "{{" in text and not is_well_formed(text)
    ]


def filled(content: Content, lookup: Lookup) -> tuple[Content, list[str]]:
    """The content with its variables' values, and the names of those that have none, each once. Past `MAX_FILLED` nothing more is
    put in: `rendered_fault` refuses the content."""
    missing: dict[str, None] = {}
    size = 0

    def value_of(found: re.Match[str]) -> str:
        nonlocal size
        value = lookup(found[1])
        if value is None:
            missing[found[1]] = None
            return ""
        if size > MAX_FILLED:
            return ""
        size += len(value)
        return value

    def fill(value: Any, key: str) -> Any:
        if isinstance(value, str):
            return _VARIABLE.sub(value_of, value) if key in _READ and "{{" in value else value
        if isinstance(value, dict):
            return {name: fill(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [fill(inner, key) for inner in value]
        return value

    return fill(content, ""), list(missing)


def lookup_for(reader: Reader, variables: Mapping[str, str], defaults: Mapping[str, str]) -> Lookup:
    """Values in the order that the closer wins: the reader's own, the variant's, what the contact is, the template's defaults."""
    own, attributes = reader.variables, reader.attributes

    def value_of(name: str) -> str | None:
        value = own.get(name)
        if value is None:
            value = variables.get(name)
        if value is None:
            value = _of_contact(reader, attributes, name)
        return defaults.get(name) if value is None else value

    return value_of


def _of_contact(reader: Reader, attributes: Mapping[str, Any], name: str) -> str | None:
    match name:
        case "name" if reader.name:
            return reader.name
        case "phone" if reader.to:
            return reader.to
        case "language" if reader.language:
            return reader.language
    return _plain(attributes.get(name))


def _plain(value: Any) -> str | None:
    """An attribute as text; a list or an object is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def missing_fault(names: Sequence[str]) -> Fault:
    """What is said of variables without a value."""
    shown = ", ".join(f"{{{{{name}}}}}" for name in names)
    detail = f"{shown} {'has' if len(names) == 1 else 'have'} no value: neither given, nor known of the contact, nor a default"
    return Fault("variable.missing", detail, f"/variables/{names[0]}")


def missing_errors(names: Iterable[str]) -> list[FieldError]:
    """The same, a fault for each."""
    return [FieldError(fault.pointer, fault.code, fault.detail) for fault in map(missing_fault, ([name] for name in names))]


def rendered_fault(content: Content) -> Fault | None:
    """What the provider would refuse of a content once its variables are filled in."""
    kind = content.get("type")
    if kind == "text":
        body = content["text"]["body"]
        if not body.strip():
            return Fault("text.empty", "the text is empty once its variables are filled in", "/text/body")
        if len(body) > MAX_TEXT:
            return Fault("text.too_long", f"the text has more than {MAX_TEXT} characters once filled in", "/text/body")
        return None
    if sum(map(len, _texts(content, ""))) > MAX_FILLED:
        return Fault("content.too_large", f"the texts have more than {MAX_FILLED} characters once filled in", f"/{kind}")
    for index, component in enumerate(content["template"].get("components") or ()) if kind == "template" else ():
        for place, parameter in enumerate(_dicts(component.get("parameters"))):
            if parameter.get("type") == "text" and not str(parameter.get("text", "")).strip():
                pointer = f"/template/components/{index}/parameters/{place}/text"
                return Fault("parameter.empty", "a parameter is empty once its variables are filled in", pointer)
    checked = parse(content)
    if isinstance(checked, list):
        return Fault(checked[0].code, f"{checked[0].detail}, once its variables are filled in", checked[0].pointer)
    return None


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def closest_language(wanted: str | None, there: Collection[str]) -> str | None:
    """Of the languages that are there the one somebody wants: itself, else the same without its region, else None. `pt-BR` and
    `pt_BR` are one."""
    spelled = {_plain_language(language): language for language in there}
    key = _plain_language(wanted or "")
    while key and key not in spelled:
        key = key.rpartition("_")[0]
    return spelled.get(key)


def _plain_language(code: str) -> str:
    return code.replace("-", "_").lower()


def share_of(run_id: str, phone: str, weights: Sequence[int]) -> int:
    """Which of the variants somebody gets: the same whenever it is asked, spread by weight. Without any weight the first."""
    total = sum(weights)
    if len(weights) < 2 or total == 0:
        return 0
    digest = hashlib.blake2b(f"{run_id} {phone}".encode(), digest_size=8).digest()
    place = int.from_bytes(digest) % total
    for index, weight in enumerate(weights):
        place -= weight
        if place < 0:
            return index
    return 0

"""Where the numbers' access tokens may be sent: origins that the operator lists, so that no tenant can send them elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import HttpUrl

_ANY_PORT: Final = ":*"
_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class Origins:
    """Each entry is scheme://host:port, or scheme://host:* on loopback."""

    entries: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> Origins:
        """From origins separated by commas: `https://graph.facebook.com`; a sandbox on any port is `http://127.0.0.1:*`.

        Raises `ValueError` for anything else.
        """
        return cls(frozenset(_entry(part.strip()) for part in text.split(",") if part.strip()))

    def allow(self, url: HttpUrl) -> bool:
        """True where the url's origin is listed."""
        return not self.entries.isdisjoint({f"{_site(url)}:{url.port}", f"{_site(url)}{_ANY_PORT}"})


def is_bare(url: HttpUrl) -> bool:
    """True where the url names a place and nothing else: no user, password, query or fragment."""
    return all(part is None for part in (url.username, url.password, url.query, url.fragment))


def _entry(text: str) -> str:
    try:
        url = HttpUrl(text.removesuffix(_ANY_PORT))
    except ValueError:
        raise ValueError("each origin looks like https://host or https://host:port") from None
    if not is_bare(url) or url.path != "/" or "*" in (url.host or ""):
        raise ValueError("an origin is scheme, host and port only")
    if not text.endswith(_ANY_PORT):
        return f"{_site(url)}:{url.port}"
    if url.host not in _LOOPBACK:
        raise ValueError("only an origin on loopback may have any port")
    return f"{_site(url)}{_ANY_PORT}"


def _site(url: HttpUrl) -> str:
    return f"{url.scheme}://{url.host}"

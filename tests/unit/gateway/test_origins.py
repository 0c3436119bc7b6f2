"""The origins a number's token may be sent to."""

from __future__ import annotations

import pytest
from pydantic import HttpUrl, ValidationError

from services.gateway.domain.origins import Origins
from services.gateway.settings import GatewaySettings

LISTED = Origins.parse("https://graph.facebook.com, http://127.0.0.1:* ,https://mock.example:8443")


@pytest.mark.parametrize(
    "url",
    [
        "https://graph.facebook.com",
        "HTTPS://Graph.Facebook.com:443/",
        "https://graph.facebook.com/a/path",
        "http://127.0.0.1:8090",
        "http://127.0.0.1",
        "https://mock.example:8443",
    ],
)
def test_an_origin_that_is_listed_is_allowed_however_it_is_written(url: str) -> None:
    assert LISTED.allow(HttpUrl(url))


@pytest.mark.parametrize(
    "url",
    [
        "http://graph.facebook.com",
        "https://graph.facebook.com:444",
        "https://graph.facebook.com.evil.example",
        "https://evil.example/graph.facebook.com",
        "https://graph.facebook.com@evil.example",
        "https:\\\\evil.example\\@graph.facebook.com",
        "https://127.0.0.1:8090",
        "http://127.0.0.2:8090",
        "http://localhost:8090",
        "http://169.254.169.254/latest",
        "http://[::1]:8090",
        "https://mock.example",
    ],
)
def test_any_other_origin_is_not(url: str) -> None:
    assert not LISTED.allow(HttpUrl(url))


@pytest.mark.parametrize(
    "text",
    [
        "graph.facebook.com",
        "https://graph.facebook.com/v1",
        "https://user@graph.facebook.com",
        "https://graph.facebook.com?",
        "https://graph.facebook.com:*",
        "http://*:8090",
        "*",
        "ftp://graph.facebook.com",
    ],
)
def test_what_is_no_origin_stops_the_start(text: str) -> None:
    with pytest.raises(ValidationError, match="origin"):
        GatewaySettings(provider_origins=text)


def test_none_at_all_allows_nothing() -> None:
    assert not Origins.parse("").allow(HttpUrl("https://graph.facebook.com"))

from __future__ import annotations

import pytest

from shared.http.compression import takes_gzip


@pytest.mark.parametrize(
    ("accept_encoding", "taken"),
    [
        ("gzip", True),
        ("gzip, deflate, br", True),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("*", True),
        ("deflate, gzip;q=0.001", True),
        ("", False),
        ("identity", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("gzip ; q=0, *", False),
        ("*;q=0", False),
        (";;;,,q=", False),
    ],
)
def test_gzip_is_used_where_the_client_takes_it(accept_encoding: str, *, taken: bool) -> None:
    assert takes_gzip(accept_encoding) is taken

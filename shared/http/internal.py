"""Who asks from inside: the other services and operators, by the token that they share."""

from __future__ import annotations

import hmac

from aiohttp import web
from pydantic import SecretStr

from shared.errors import Rejected
from shared.http.routes import Authenticator


def internal(token: SecretStr) -> Authenticator:
    """Takes the internal token as a bearer, compared in constant time; 401 for anything else."""
    expected = f"Bearer {token.get_secret_value()}".encode()

    async def authenticate(request: web.Request) -> None:
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if not hmac.compare_digest(given, expected):
            raise Rejected("auth.invalid", "This is for the other services and operators, with the internal token.", status=401)

    return authenticate

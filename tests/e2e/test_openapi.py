"""The API that is served is the one that is documented, and no request makes it fail."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from tests.support.assembly import new_tenant
from tests.support.platform import ROOT, Api, Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")

STREAMS: Final = ("/api/events", "/api/events/ws")
"""They answer for as long as anybody listens; tests/integration/gateway/test_live.py has them."""
CHECKS: Final = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
CONTENTS: Final = ("interactive", "template")
"""Parts of a message whose documents are so large that each body which holds one costs thousands of requests."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def key(platform: Platform) -> str:
    """A tenant's, whose first number is the sandbox's: what is accepted is sent there and nowhere else."""
    key = await new_tenant(platform.run["servers"]["postgres"], "Schemathesis")
    number = {
        "phone_number_id": "600000000000001",
        "waba_id": "600000000000002",
        "display_number": "+15550006666",
        "access_token": "nobody's",
        "app_secret": "nobody's",
        "verify_token": "nobody's",
        "provider_url": platform.run["sandbox_url"],
    }
    async with platform.api(key) as api:
        status, body = await api.call("POST", "/api/numbers", number)
        assert status == 201, body
    return key


@pytest.mark.timeout(900)
async def test_schemathesis_finds_no_answer_that_is_not_documented(
    platform: Platform, api: Api, key: str, tmp_path: Path
) -> None:
    """All operations; the largest parts of contents are any object here."""
    document = await api.get("/api/openapi.json")
    document["paths"] = {path: methods for path, methods in document["paths"].items() if path not in STREAMS}
    operations = sum(len(methods) for methods in document["paths"].values())
    _loosen_contents(document)
    assert await _tested(platform, key, document, tmp_path) == operations


@pytest.mark.timeout(900)
async def test_schemathesis_finds_no_content_whose_answer_is_not_documented(
    platform: Platform, api: Api, key: str, tmp_path: Path
) -> None:
    """The operation that all others which take contents share them with."""
    document = await api.get("/api/openapi.json")
    document["paths"] = {"/api/messages": {"post": document["paths"]["/api/messages"]["post"]}}
    assert await _tested(platform, key, document, tmp_path) == 1


@pytest.mark.timeout(900)
async def test_schemathesis_finds_no_answer_to_operators_that_is_not_documented(
    platform: Platform, api: Api, tmp_path: Path
) -> None:
    """The operations that a tenant's key does not open."""
    document = await api.get("/api/openapi.json")
    document["paths"] = {
        path: methods
        for path, methods in document["paths"].items()
        if any({"adminKey": []} in operation["security"] for operation in methods.values())
    }
    operations = sum(len(methods) for methods in document["paths"].values())
    assert await _tested(platform, platform.run["admin_key"], document, tmp_path) == operations > 0


async def _tested(platform: Platform, key: str, document: dict[str, Any], folder: Path) -> int:
    """How many operations were, without a fault."""
    (folder / "schemathesis.toml").touch()
    (folder / "openapi.json").write_text(json.dumps(document))
    done = await asyncio.to_thread(
        subprocess.run,
        [
            Path(sys.executable).with_name("schemathesis"),
            *("run", "openapi.json", "--url", platform.run["gateway_url"]),
            *("--header", f"Authorization: Bearer {key}"),
            *("--phases", "examples,coverage,fuzzing"),
            *("--checks", CHECKS),
            *("--max-examples", "15"),
            *("--request-timeout", "60"),
            *("--suppress-health-check", "all"),
            "--generation-deterministic",
            "--continue-on-failure",
            "--no-color",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-40_000:] + done.stderr[-2000:]
    tested = re.search(r"Tested: +(\d+)", done.stdout)
    assert tested is not None, done.stdout
    return int(tested[1])


def _loosen_contents(document: dict[str, Any]) -> None:
    """In bodies that are sent; what is answered stays whole."""
    schemas = document["components"]["schemas"]
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    answered = _named(schemas, [operation["responses"] for operation in operations])
    for name in _named(schemas, [operation.get("requestBody") for operation in operations]) - answered:
        properties = schemas[name].get("properties", {})
        for part in CONTENTS if set(CONTENTS) <= set(properties) else ():
            properties[part] = {"type": ["object", "null"]}


def _named(schemas: Mapping[str, Any], document: Any) -> set[str]:
    """The schemas that are used there, and those that these use."""
    found: set[str] = set()
    waiting = [document]
    while waiting:
        new = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(waiting.pop()))) - found
        found |= new
        waiting += [schemas[name] for name in new]
    return found


async def test_no_number_can_be_connected_at_the_real_provider(api: Api) -> None:
    """So that no test of this folder sends anything there, or reads templates."""
    number = {"phone_number_id": "600000000000003", "waba_id": "600000000000004", "display_number": "+15550006667"}
    secrets = {"access_token": "nobody's", "app_secret": "nobody's", "verify_token": "nobody's"}
    status, body = await api.call("POST", "/api/numbers", {**number, **secrets})
    assert (status, [fault["code"] for fault in body["errors"]]) == (422, ["provider.origin_not_allowed"])


async def test_the_served_document_is_the_one_in_the_tree(api: Api) -> None:
    served = await api.get("/api/openapi.json")
    assert served == json.loads((ROOT / "docs" / "openapi.json").read_text())


async def test_the_document_is_valid_openapi_3_1(api: Api) -> None:
    served = await api.get("/api/openapi.json")
    assert served["openapi"].startswith("3.1")
    OPENAPI_31_VALIDATOR.validate(served)


async def test_the_reference_is_one_page_without_script(api: Api) -> None:
    async with api.session.get(f"{api.url}/api/docs", headers={"Authorization": ""}) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/html"
        policy = answer.headers["Content-Security-Policy"]
        page = await answer.text()
    directives = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert set(directives) >= {"style-src", "base-uri", "form-action", "frame-ancestors"}
    assert "script-src" not in directives
    assert "'unsafe-inline'" not in policy
    assert not re.search(r"<script|javascript:|\son[a-z]+\s*=|<iframe|<object|<embed", page, re.IGNORECASE)
    assert not re.search(r"<(?:link|img|source)\b|@import|url\(", page, re.IGNORECASE), "it needs nothing else"
    document = await api.get("/api/openapi.json")
    for path, methods in document["paths"].items():
        assert path in page
        assert all(operation["summary"] in page.replace("&#x27;", "'") for operation in methods.values())

"""The API that is served is the one that is documented, and no request makes it fail."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from tests.support.assembly import new_tenant
from tests.support.platform import ROOT, Api, Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHECKS: Final = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.mark.timeout(60)
async def test_schemathesis_finds_no_answer_that_is_not_documented(platform: Platform, tmp_path: Path) -> None:
    """As a tenant whose first number is the sandbox's: what is accepted is sent there and nowhere else."""
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
    (tmp_path / "schemathesis.toml").touch()
    done = await asyncio.to_thread(
        subprocess.run,
        [
            Path(sys.executable).with_name("schemathesis"),
            *("run", f"{platform.run['gateway_url']}/api/openapi.json"),
            *("--header", f"Authorization: Bearer {key}"),
            *("--phases", "examples,coverage,fuzzing"),
            *("--checks", CHECKS),
            *("--max-examples", "15"),
            *("--request-timeout", "10"),
            *("--suppress-health-check", "all"),
            "--generation-deterministic",
            "--continue-on-failure",
            "--no-color",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    tested = re.search(r"Tested: +(\d+)", done.stdout)
    documented = json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"]
    assert tested is not None, done.stdout
    assert int(tested[1]) == sum(len(methods) for methods in documented.values())


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

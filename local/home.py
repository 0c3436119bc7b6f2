"""The folder of a local run, `.chasqui/`: its secrets, its ports, and `run.json`, by which scripts find what is running."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from local.errors import LocalError, explained
from local.folder import Folder
from local.ports import free_port, is_free
from shared.auth.keys import new_admin_key, new_key

FOLDER_VARIABLE: Final = "CHASQUI_LOCAL__FOLDER"
PORTS: Final = {
    "gateway": ("CHASQUI_HTTP__PORT", 8080),
    "scheduler": ("CHASQUI_SCHEDULER__PORT", 8081),
    "sender": ("CHASQUI_SENDER__PORT", 8082),
    "archive": ("CHASQUI_ARCHIVE__PORT", 8083),
    "sandbox": ("CHASQUI_SANDBOX__PORT", 8090),
}
HOST: Final = "127.0.0.1"
KEPT_SPANS: Final = 200_000
FIRST_FREE_PORT: Final = 1024
SECRETS: Final = "secrets.json"


class Home:
    """The folder, owned by one run at a time."""

    def __init__(self, path: Path) -> None:
        self.folder = Folder(path)
        self.path = self.folder.path

    @classmethod
    def from_environment(cls) -> Home:
        """`.chasqui` in the working folder, or `CHASQUI_LOCAL__FOLDER`, which is taken out: it is no setting of a service.

        Names of settings may be written in any case; from here on they are upper-case.
        """
        for name in [name for name in os.environ if name.upper().startswith("CHASQUI_") and not name.isupper()]:
            os.environ.setdefault(name.upper(), os.environ.pop(name))
        return cls(Path(os.environ.pop(FOLDER_VARIABLE, ".chasqui")))

    def secrets(self) -> dict[str, str]:
        """Made at the first start, kept for the next ones, readable by the owner alone."""
        path = self.path / SECRETS
        kept = read_secrets(self.path) if path.exists() else {}
        with explained(path):
            fresh = {
                "master_key": base64.b64encode(secrets.token_bytes(32)).decode(),
                "internal_token": secrets.token_urlsafe(32),
                "role_password": secrets.token_urlsafe(24),
                "test_key": new_key(live=False),
                "admin_key": new_admin_key(),
                "access_token": secrets.token_urlsafe(24),
                "app_secret": secrets.token_hex(16),
                "verify_token": secrets.token_urlsafe(16),
            }
            if fresh.keys() - kept.keys():
                kept = {**fresh, **kept}
                write_private(path, json.dumps(kept, indent=1))
        return kept

    def write_run(self, **facts: Any) -> None:
        """`run.json`: who runs where, for scripts and tests."""
        facts = {"started_at": datetime.now(UTC).isoformat(timespec="seconds"), **facts}
        write_private(self.path / "run.json", json.dumps(facts, indent=1) + "\n")

    def change_mode(self, mode: str) -> str | None:
        """Note what runs here now, "run" or "stack"; returns what ran before, if it was something else."""
        path = self.path / "mode"
        before = path.read_text().strip() if path.exists() else mode
        write_private(path, mode)
        return before if before != mode else None

    def forget_run(self) -> None:
        """Nothing runs any more."""
        (self.path / "run.json").unlink(missing_ok=True)


def read_secrets(home: Path) -> dict[str, str]:
    """The secrets of a home; others who could read them cannot any more. Raises `LocalError` where they are broken."""
    path = home / SECRETS
    with explained(path):
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        try:
            kept = json.loads(path.read_bytes())
        except ValueError:
            kept = None
    if not isinstance(kept, dict) or not all(isinstance(value, str) for value in kept.values()):
        raise LocalError(f"{path} is damaged: put back the copy that you keep, for nothing that is sealed opens without it.")
    return kept


def master_key(home: Path) -> str:
    """The master key among the secrets of a home that was started before. Raises `LocalError`."""
    key = read_secrets(home).get("master_key")
    if key is None:
        raise LocalError(f"{home / SECRETS} has no master key: put back the copy that you keep.")
    return key


def ports_from_environment() -> dict[str, int]:
    """The services' ports: the variables, or the usual ones; 0 becomes a free one. Raises `LocalError` where one is taken."""
    ports: dict[str, int] = {}
    for service, (variable, usual) in PORTS.items():
        text = os.environ.get(variable, str(usual))
        if not text.isdecimal() or int(text) > 65535:
            raise LocalError(f"{variable} must be a port number, not {text!r}.")
        port = int(text) or free_port(HOST)
        if port < FIRST_FREE_PORT and os.geteuid() != 0:
            raise LocalError(f"Port {port} is for root: choose one from {FIRST_FREE_PORT} on with {variable}.")
        if port in ports.values():
            raise LocalError(f"Port {port} is wanted twice: choose another one with {variable}.")
        if not is_free(port, HOST):
            raise LocalError(f"Port {port} is taken: stop what listens there, or choose another one with {variable}.")
        ports[service] = port
    return ports


def service_environment(
    ports: Mapping[str, int], kept: Mapping[str, str], *, database_url: str, redis_url: str, bus_url: str, journal: Path
) -> dict[str, str]:
    """The settings of all services. What the caller's environment says already wins, except for the ports."""
    gateway = f"http://{HOST}:{ports['gateway']}"
    chosen = {variable: str(ports[service]) for service, (variable, _) in PORTS.items()}
    usual = {
        "CHASQUI_DB__URL": database_url,
        "CHASQUI_DB__PASSWORD": kept["role_password"],
        "CHASQUI_REDIS__URL": redis_url,
        "CHASQUI_BUS__URL": bus_url,
        "CHASQUI_SECURITY__MASTER_KEY": kept["master_key"],
        "CHASQUI_SECURITY__INTERNAL_TOKEN": kept["internal_token"],
        "CHASQUI_GATEWAY__ARCHIVE_URL": f"http://{HOST}:{ports['archive']}",
        "CHASQUI_GATEWAY__SCHEDULER_URL": f"http://{HOST}:{ports['scheduler']}",
        "CHASQUI_GATEWAY__SENDER_URL": f"http://{HOST}:{ports['sender']}",
        "CHASQUI_GATEWAY__KEEP_SPANS": str(KEPT_SPANS),
        "CHASQUI_TELEMETRY__TRACE_URL": f"{gateway}/traces/{{trace_id}}",
        # The sandbox here, and any other one that somebody starts on this machine.
        "CHASQUI_GATEWAY__PROVIDER_ORIGINS": f"https://graph.facebook.com,http://{HOST}:*",
        "CHASQUI_SENDER__JOURNAL_FOLDER": str(journal),
        "CHASQUI_OBJECTS__URL": str(journal.with_name("objects")),
        # What is tried out here has its callbacks and its sandbox's files on this machine.
        "CHASQUI_OUTSIDE__ALLOWED_NETWORKS": "127.0.0.0/8,::1/128",
        "CHASQUI_SANDBOX__ACCESS_TOKEN": kept["access_token"],
        "CHASQUI_SANDBOX__APP_SECRET": kept["app_secret"],
        "CHASQUI_SANDBOX__VERIFY_TOKEN": kept["verify_token"],
        "CHASQUI_SANDBOX__WEBHOOK_URL": f"{gateway}/api/webhooks/whatsapp",
    }
    return {**usual, **{k: v for k, v in os.environ.items() if k.startswith("CHASQUI_")}, **chosen}


def presumed_environment(ports: Mapping[str, int], kept: Mapping[str, str]) -> dict[str, str]:
    """The settings as they will be, with servers that are not there yet: enough to check them before anything is started."""
    return service_environment(
        ports,
        kept,
        database_url=f"postgresql://{HOST}/chasqui",
        redis_url=f"redis://{HOST}",
        bus_url="memory://",
        journal=Path("journal"),
    )


def write_private(path: Path, text: str) -> None:
    """Replace a file at once, readable by the owner alone."""
    draft = path.with_suffix(".new")
    with explained(path):
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        draft.replace(path)

"""Debian's packages, for who may install them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def can_install() -> bool:
    """True for root where there is apt-get."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install_package(name: str) -> str | None:
    """None when installed, else what apt-get said. Debian starts a service on installation: the policy file forbids that."""
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    install = f"apt-get install -qq --no-install-recommends {name}"
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", f"{install} || {{ apt-get update -qq && {install}; }}"],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        if ours:
            policy.unlink()
    return None if done.returncode == 0 else " ".join(done.stderr.split())[-200:]

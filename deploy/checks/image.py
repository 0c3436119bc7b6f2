"""The Dockerfile makes no mistake that hadolint knows, and an image that is as the manifests presume."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Final

from deploy.checks.fault import Fault
from deploy.checks.tree import Tree, program

DOCKERFILE: Final = "Dockerfile"
HADOLINT_SECONDS: Final = 60.0
USER: Final = re.compile(r"^USER\s+(\S+)", re.MULTILINE | re.IGNORECASE)
FROM: Final = re.compile(r"^FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.MULTILINE | re.IGNORECASE)
ARGUMENT: Final = re.compile(r"^ARG\s+(\w+)=(\S+)", re.MULTILINE | re.IGNORECASE)
VARIABLE: Final = re.compile(r"\$\{?(\w+)\}?")
NUMBER: Final = re.compile(r"^([1-9]\d*)(:\d+)?$")


def check(tree: Tree) -> Iterator[Fault]:
    if not (tree.root / DOCKERFILE).exists():
        yield Fault(DOCKERFILE, "is not there")
        return
    yield from _by_hadolint(tree)
    text = tree.text(DOCKERFILE)
    users = USER.findall(text.rpartition("\nFROM ")[2])
    if not users or NUMBER.match(users[-1]) is None:
        yield Fault(DOCKERFILE, "its last stage ends as no USER by number: runAsNonRoot cannot be proved of a name")
    defaults = dict(ARGUMENT.findall(text))
    stages = set()
    for name, stage in FROM.findall(text):
        image = VARIABLE.sub(lambda match: defaults.get(match[1], ""), name)
        if image not in stages and "@sha256:" not in image:
            yield Fault(DOCKERFILE, f"FROM {name} is pinned by no digest")
        stages.add(stage)


def _by_hadolint(tree: Tree) -> Iterator[Fault]:
    command = (program("hadolint"), "--format", "json", "--no-color", str(tree.root / DOCKERFILE))
    done = subprocess.run(command, capture_output=True, text=True, timeout=HADOLINT_SECONDS, check=False, cwd=tree.root)
    try:
        found = json.loads(done.stdout)
    except ValueError:
        yield Fault(DOCKERFILE, f"hadolint: {(done.stderr or done.stdout).strip()}")
        return
    for one in found:
        yield Fault(f"{DOCKERFILE}:{one['line']}", f"{one['code']} {one['message']}")

"""`python -m deploy.checks`: everything that can be known of the deployment without a cluster; a line for each fault."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from deploy.checks import compose, image, monitoring, network, pods, references, scaling, schemas, settings, shutdown
from deploy.checks.fault import Fault
from deploy.checks.tree import RenderError, Tree

ROOT: Final = Path(__file__).resolve().parents[2]
CHECKS: Final[Mapping[str, Callable[[Tree], Iterable[Fault]]]] = MappingProxyType({
    "schemas": schemas.check,
    "pods": pods.check,
    "settings": settings.check,
    "references": references.check,
    "network": network.check,
    "scaling": scaling.check,
    "shutdown": shutdown.check,
    "monitoring": monitoring.check,
    "image": image.check,
    "compose": compose.check,
})  # fmt: skip


def main() -> int:
    tree = Tree(ROOT)
    try:
        objects = sum(len(rendering.manifests) for rendering in tree.renderings)
        faults = sorted({fault for check in CHECKS.values() for fault in check(tree)})
    except (RenderError, FileNotFoundError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    names = ", ".join(rendering.name for rendering in tree.renderings)
    sys.stdout.write(f"deploy: {objects} objects of {names}: {len(faults)} faults\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

"""The files of a deployment below one root, and what kubectl makes of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.checks.manifests import Rendering

K8S: Final = Path("deploy/k8s")
RELEASE: Final = "release"
"""The component that says which version of the image runs: nothing is applied without it."""
RENDER_SECONDS: Final = 60.0
LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C, where PyYAML was built with it


class RenderError(Exception):
    """An overlay cannot be rendered; the text is kubectl's."""


def program(name: str) -> str:
    """One that came with the development packages, beside the interpreter, or else one in the PATH. Raises `FileNotFoundError`."""
    found = shutil.which(name, path=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))))
    if found is None:
        raise FileNotFoundError(f"{name} is missing: run make setup")
    return found


class Tree:
    """A checkout, or a copy of the parts of one that the checks read. Each overlay is rendered once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def overlays(self) -> list[Rendering]:
        """What somebody would apply. Raises `RenderError`."""
        return [Rendering(f"overlays/{path.name}", render(path)) for path in self._folders("overlays")]

    @cached_property
    def components(self) -> list[Rendering]:
        """The base of a release with each component alone. Raises `RenderError`."""
        k8s = self.root / K8S
        others = [path for path in self._folders("components") if path.name != RELEASE]
        return [
            Rendering(f"components/{path.name}", render_with(k8s / "base", k8s / "components" / RELEASE, path))
            for path in others
        ]

    @property
    def renderings(self) -> Iterator[Rendering]:
        yield from self.overlays
        yield from self.components

    def text(self, path: str | Path) -> str:
        return (self.root / path).read_text(encoding="utf-8")

    def files(self, folder: str | Path, *suffixes: str) -> list[Path]:
        """Below the folder, at any depth, relative to the root."""
        found = (self.root / folder).rglob("*")
        return sorted(path.relative_to(self.root) for path in found if path.suffix in suffixes and path.is_file())

    def _folders(self, name: str) -> list[Path]:
        return sorted(path.parent for path in (self.root / K8S / name).glob("*/kustomization.yaml"))


def render(folder: Path) -> list[dict[str, Any]]:
    """The objects that `kubectl apply -k` would apply. Raises `RenderError`."""
    command = (program("kubectl"), "kustomize", str(folder))
    done = subprocess.run(command, capture_output=True, text=True, timeout=RENDER_SECONDS, check=False)
    if done.returncode != 0 or done.stderr.strip():  # what kustomize deprecates it says on stderr
        raise RenderError(f"{folder}: {done.stderr.strip()}")
    return documents(done.stdout)


def render_with(base: Path, *components: Path) -> list[dict[str, Any]]:
    """A base with components, which cannot be rendered alone. Raises `RenderError`."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder).resolve()
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [_relative(base, place)],
            "components": [_relative(component, place) for component in components],
        }
        (place / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
        return render(place)


def documents(text: str) -> list[dict[str, Any]]:
    """Of a stream of YAML; empty ones left out."""
    return [document for document in yaml.load_all(text, Loader=LOADER) if document]


def _relative(path: Path, start: Path) -> str:
    return os.path.relpath(path.resolve(), start)

"""What the image holds is all that the services import, and its version is one and the same everywhere."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from shared.version import VERSION

ROOT: Final = Path(__file__).resolve().parents[3]
COPIED: Final = ("shared", "services")
OWN: Final = frozenset(COPIED)
WITH_NLP: Final = frozenset({"py3langid", "vaderSentiment"})
"""Of the image that is made with `LOCK=nlp`; asked for where annotations are enabled."""


def normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def locked(lock: str) -> frozenset[str]:
    text = (ROOT / "requirements" / f"{lock}.lock").read_text(encoding="utf-8")
    return frozenset(normal(name) for name in re.findall(r"^([A-Za-z0-9_.-]+)==", text, re.MULTILINE))


def imported(path: Path) -> Iterator[str]:
    """The top-level packages that a file imports, wherever in it, but for what only type checkers read."""
    for node in ast.walk(_without_type_checking(ast.parse(path.read_text(encoding="utf-8")))):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def _without_type_checking(tree: ast.Module) -> ast.Module:
    tree.body = [node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")]
    return tree


def instructions(name: str) -> list[str]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return [rest.strip() for word, _, rest in (line.partition(" ") for line in text.splitlines()) if word == name]


def documents(path: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
    return loaded


@pytest.mark.parametrize("folder", COPIED)
def test_every_import_is_in_the_image(folder: str) -> None:
    providers = packages_distributions()
    in_image = locked("runtime")
    missing = {
        (str(path.relative_to(ROOT)), package)
        for path in (ROOT / folder).rglob("*.py")
        for package in imported(path)
        if package not in OWN | sys.stdlib_module_names | WITH_NLP
        and not in_image & {normal(name) for name in providers.get(package, ())}
    }
    assert not missing


def test_the_extra_image_has_the_language_models_too() -> None:
    assert locked("runtime") | {normal(name) for name in WITH_NLP} <= locked("nlp")


def test_the_image_is_made_of_what_the_context_lets_in() -> None:
    sources = {part for copy in instructions("COPY") if "--from" not in copy for part in copy.split()[:-1]}
    assert sources == {"requirements/${LOCK}.lock", *COPIED}
    admitted = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert sorted(admitted) == ["requirements/*.lock", "services", "shared"]


def test_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    release = documents("deploy/k8s/components/release/kustomization.yaml")
    tags = {image["newTag"] for image in release["images"]}
    labels = {yaml.safe_load(patch["patch"])["metadata"]["labels"]["app.kubernetes.io/version"] for patch in release["patches"]}
    assert {VERSION} == {project} == tags == labels

"""Every object is what Kubernetes' own schema says, with no field that it does not know; so are those of operators we use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jsonschema
import kubernetes_validate

from deploy.checks.fault import Fault
from deploy.checks.manifests import CLUSTER_WIDE, Manifest, Rendering
from deploy.checks.tree import Tree

VERSIONS: Final = ("1.31", "1.37")
"""The oldest Kubernetes that the manifests are meant for, and the newest."""
APPLICABLE_BYTES: Final = 256 * 1024
"""`kubectl apply` writes each object into an annotation of itself, and all of those together may have so many."""
CUSTOM: Final = Path(__file__).with_name("schemas")
"""Of custom resources: the fields that we use, as `<kind>.<group>.json`."""


def check(tree: Tree) -> Iterator[Fault]:
    known: dict[str, list[str]] = {}  # most objects are the base's, and the same in each rendering
    for rendering in tree.renderings:
        yield from _twice(rendering)
        for manifest in rendering.manifests:
            place = rendering.place(manifest)
            content = json.dumps(manifest.content, sort_keys=True)
            if content not in known:
                known[content] = list(dict.fromkeys(_faults(manifest)))
            yield from (Fault(place, text) for text in known[content])
            if len(content.encode()) > APPLICABLE_BYTES:
                yield Fault(place, f"has {len(content.encode())} bytes: kubectl could not apply it")
            if manifest.kind not in CLUSTER_WIDE and not manifest.namespace:
                yield Fault(place, "is in no namespace: it would land wherever kubectl happens to look")


def _twice(rendering: Rendering) -> Iterator[Fault]:
    names = [(one.api, one.kind, one.namespace, one.name) for one in rendering.manifests]
    for api, kind, _, name in sorted({one for one in names if names.count(one) > 1}):
        yield Fault(rendering.name, f"{api} {kind}/{name} is there more than once")


def _faults(manifest: Manifest) -> Iterator[str]:
    group = manifest.api.partition("/")[0]
    schema = CUSTOM / f"{manifest.kind.lower()}.{group}.json"
    if schema.exists():
        yield from _by(json.loads(schema.read_text(encoding="utf-8")), manifest.content)
        return
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest.content, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield _told(error)
        except kubernetes_validate.SchemaNotFoundError:
            yield f"{manifest.api} {manifest.kind} is in no schema of Kubernetes, and {schema.name} is not among ours"
            return


def _by(schema: dict[str, Any], content: dict[str, Any]) -> Iterator[str]:
    for error in jsonschema.Draft202012Validator(schema).iter_errors(content):
        yield _told(error)


def _told(error: jsonschema.ValidationError) -> str:
    place = ".".join(str(step) for step in error.path)
    return f"{place or 'the object'}: {error.message}"

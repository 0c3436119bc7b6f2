"""What spans may say, by the names that OpenTelemetry gave it."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import opentelemetry.semconv._incubating.attributes as incubating
import opentelemetry.semconv.attributes as stable

from shared.telemetry.redaction import SPAN_ATTRIBUTES


def test_names_with_a_dot_are_the_conventions() -> None:
    known = {
        value
        for package in (stable, incubating)
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
        for name, value in vars(import_module(module.name)).items()
        if name.isupper() and isinstance(value, str)
    }
    assert {name for name in SPAN_ATTRIBUTES if "." in name} - known == set()

"""The marks of a test that needs a framework: it is skipped where the framework is missing, and the summary says so."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


def needs(package: str) -> list[pytest.MarkDecorator]:
    """Return the marks of a test, a parameter or (as pytestmark) a module that needs a package."""
    cure = "pip install tensorflow" if package == "tensorflow" else "pip install -e '.[frameworks]'"
    reason = f"{package} is not installed: {cure}"
    return [pytest.mark.frameworks, pytest.mark.skipif(find_spec(package) is None, reason=reason)]


ALL = [pytest.param(name, marks=needs(name)) for name in ("torch", "jax", "tensorflow")]

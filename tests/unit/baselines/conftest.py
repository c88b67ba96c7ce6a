"""Foundations of the integration tests' micro size, written once for the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@pytest.fixture(scope="session")
def world() -> Iterator:
    """A `SmallWorld`."""
    from .small_world import open_world

    with TemporaryDirectory() as folder:
        yield open_world(Path(folder))

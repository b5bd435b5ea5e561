"""One suite for all stories, on free ports and a home of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from story import Suite, free_port


@pytest.fixture(scope="session")
def suite() -> Iterator[Suite]:
    with tempfile.TemporaryDirectory(prefix="plaza-e2e-") as folder:
        suite = Suite(Path(folder) / "home", free_port(), free_port())
        suite.start()
        yield suite
        suite.stop()


@pytest.fixture
def new_suite() -> Iterator[Suite]:
    """A suite that the test starts and stops itself."""
    with tempfile.TemporaryDirectory(prefix="plaza-e2e-") as folder:
        suite = Suite(Path(folder) / "home", free_port(), free_port())
        yield suite
        if suite.process is not None and suite.process.poll() is None:
            suite.stop()

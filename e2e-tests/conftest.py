"""One Plaza for all stories."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import cluster
import pytest
from story import Story, Suite, free_port


@pytest.fixture(scope="session")
def suite() -> Iterator[Story]:
    """Plaza on this machine; with `PLAZA_E2E_CLUSTER=1`, in the cluster of `KUBECONFIG`."""
    with tempfile.TemporaryDirectory(prefix="plaza-e2e-") as folder:
        if cluster.wanted():
            yield cluster.ready(Path(folder))
            return
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

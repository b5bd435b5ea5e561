"""Tests of a whole cluster: collected only where one is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cluster
import pytest
from cluster_full.tenants import Operator, Tenants


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    return None if cluster.wanted() else True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not cluster.wanted():
        terminalreporter.write_line(
            "NOT RUN: e2e-tests/cluster_full needs a cluster: `make e2e-cluster-full`", yellow=True
        )


@pytest.fixture(scope="session")
def plaza(suite: cluster.Cluster) -> cluster.Cluster:
    """The release: installed for the tests, or found installed with `PLAZA_E2E_INSTALLED=1`."""
    cluster.require_tools()
    return suite


@pytest.fixture(scope="module")
def tenants(plaza: cluster.Cluster) -> Iterator[Tenants]:
    """Departments of a module's own; nothing is left of them."""
    made = Tenants(plaza)
    yield made
    seconds = made.remove()
    print(f"\nall that the departments had is gone after {seconds:.0f} s")


@pytest.fixture(scope="session")
def operator(plaza: cluster.Cluster) -> Operator:
    return Operator()

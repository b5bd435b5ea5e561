"""What an apply tells: drift is what somebody else did, not what we want anew."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from plaza_operator.domain.children import RESOURCE_QUOTA, Child, child
from plaza_operator.domain.spec import FIELD_MANAGER, Department
from plaza_operator.kube import Kube


class ApiServer:
    """One object under server-side apply: the time of our entry moves when something changes."""

    def __init__(self) -> None:
        self.spec: Mapping[str, Any] | None = None
        self.writes = 0

    async def patch(self, _: Any, name: str, body: Mapping[str, Any], **__: Any) -> dict[str, Any]:
        if self.spec != body["spec"]:
            self.spec = body["spec"]
            self.writes += 1
        entry = {
            "manager": FIELD_MANAGER,
            "operation": "Apply",
            "time": f"2026-01-01T00:00:{self.writes:02}Z",
        }
        return {**body, "metadata": {"name": name, "uid": "1", "managedFields": [entry]}}


@pytest.fixture
def server() -> ApiServer:
    return ApiServer()


@pytest.fixture
def kube(server: ApiServer) -> Kube:
    made = Kube.__new__(Kube)  # without a cluster to log in to
    made._client = server  # type: ignore[assignment]
    made._slots, made._applied = asyncio.Semaphore(1), {}
    return made


async def test_drift_is_what_somebody_else_did(server: ApiServer, kube: Kube, department: Department) -> None:
    def quota(pods: int) -> Child:
        return child(RESOURCE_QUOTA, department, "department", {"spec": {"hard": {"pods": pods}}})

    assert not await kube.apply(quota(1)), "the first of all is no repair"
    assert not await kube.apply(quota(1))
    server.spec = {"hard": {"pods": 99}}
    assert await kube.apply(quota(1))
    assert not await kube.apply(quota(2)), "we want something else now"
    assert server.spec == {"hard": {"pods": 2}}
    server.spec = None
    assert await kube.apply(quota(2))

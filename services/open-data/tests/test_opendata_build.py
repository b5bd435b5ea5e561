"""What the service is made of: settings, methods, routes."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from plaza.opendata.v1 import opendata_pb2 as pb
from plaza_kit.rpc.client import Peers
from plaza_kit.settings import BadSettings, load
from plaza_opendata.rpc.build import SPEC, build
from plaza_opendata.rpc.servicers import PortalServicer, ReleaseServicer
from plaza_opendata.settings import OpenDataSettings

ENVIRONMENT = {
    "LISTEN": "unix:/x.sock",
    "DATABASE_URL": "postgresql://open_data@/plaza",
    "ISSUER": "http://127.0.0.1/realms/plaza",
    "CLIENT_ID": "plaza-open-data",
    "CLIENT_SECRET": "s",
    "TRUST_FILE": "/trust.json",
    "SECURITY_ADDRESS": "unix:/security.sock",
    "CATALOGUE_ADDRESS": "unix:/catalogue.sock",
    "INGESTION_ADDRESS": "unix:/ingestion.sock",
    "QUALITY_ADDRESS": "unix:/quality.sock",
    "LAKE_WAREHOUSE": "/lake",
    "RELEASE_STORE": "/releases",
}


def test_every_method_is_implemented() -> None:
    for servicer in (ReleaseServicer, PortalServicer):
        service = pb.DESCRIPTOR.services_by_name[servicer.__name__.replace("Servicer", "Service")]
        assert {method.name for method in service.methods} == {n for n in vars(servicer) if n[0].isupper()}


def test_all_missing_settings_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(f"PLAZA_{name}", raising=False)
    with pytest.raises(BadSettings) as refusal:
        load(OpenDataSettings)
    assert all(f"PLAZA_{name}" in str(refusal.value) for name in ENVIRONMENT)


async def test_the_service_is_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(f"PLAZA_{name}", value)
    settings = load(OpenDataSettings)
    assert Path(settings.release_store) == Path("/releases")
    peers = Peers({name: f"unix:/{name}.sock" for name in ("security", "catalogue", "quality")})
    runtime: Any = Mock(peers=peers)
    parts = await build(settings, runtime)
    assert parts.service_names == ("plaza.opendata.v1.ReleaseService", "plaza.opendata.v1.PortalService")
    name, job = runtime.jobs.register.call_args.args
    assert (name, job.__name__) == ("build", "build")
    assert SPEC.routes["catalogue"] == [
        "city.plaza.opendata.release.published.v1",
        "city.plaza.opendata.release.withdrawn.v1",
    ]
    await peers.close()

"""The Job of the certificates against an API server that knows Secrets and their versions."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography import x509
from plaza_kit.authority_rotation import LIFE
from plaza_kit.certificates import AUTHORITIES, CERTIFICATE, KEY, Authority
from plaza_kit.cluster_certificates import (
    AuthorityMissing,
    CertificateSettings,
    MadeAtTheSameTime,
    NotOurs,
    ensure,
)
from plaza_kit.cluster_objects import ClusterUnavailable, Objects

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SETTINGS = CertificateSettings(
    authority="plaza-ca",
    workers="plaza-workers-ca",
    holders={
        "plaza-catalogue-tls": ("plaza-catalogue", "plaza-catalogue.plaza.svc"),
        "plaza-gateway-public-tls": ("plaza-gateway-public",),
    },
)


class ApiServer:
    """Secrets by name."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.writes = 0
        self.meanwhile: str | None = None
        """Somebody else writes this one between our look and our write."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.removeprefix("/api/v1/namespaces/plaza/secrets").removeprefix("/")
        if request.method == "GET":
            found = self.objects.get(name)
            return httpx.Response(404) if found is None else httpx.Response(200, json=found)
        body = json.loads(request.content)
        name = body["metadata"]["name"]
        if self.meanwhile == name:
            self.objects[name] = {**body, "metadata": {**body["metadata"], "resourceVersion": "other"}}
        current = self.objects.get(name)
        known = None if current is None else current["metadata"]["resourceVersion"]
        if body["metadata"].get("resourceVersion") != known:
            return httpx.Response(409)
        self.writes += 1
        body["metadata"]["resourceVersion"] = str(self.writes)
        self.objects[name] = body
        return httpx.Response(201, json=body)

    def data(self, name: str) -> dict[str, bytes]:
        return {k: base64.b64decode(v) for k, v in self.objects[name]["data"].items()}

    def bring(self, name: str, data: dict[str, bytes]) -> None:
        encoded = {k: base64.b64encode(v).decode() for k, v in data.items()}
        self.objects[name] = {"metadata": {"name": name, "resourceVersion": "brought"}, "data": encoded}


@pytest.fixture
def server() -> ApiServer:
    return ApiServer()


@pytest.fixture
def objects(server: ApiServer) -> Objects:
    http = httpx.Client(base_url="https://cluster.example", transport=httpx.MockTransport(server))
    return Objects(http, "plaza", "certificates")


def issued_by(data: dict[str, bytes], authority: dict[str, bytes]) -> bool:
    certificate = x509.load_pem_x509_certificate(data[CERTIFICATE])
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority[CERTIFICATE]))
    return True


def test_all_is_made_and_the_next_day_changes_nothing(server: ApiServer, objects: Objects) -> None:
    ensure(objects, SETTINGS, NOW)
    city, workers = server.data("plaza-ca"), server.data("plaza-workers-ca")
    for secret in SETTINGS.holders:
        data = server.data(secret)
        assert issued_by(data, city)
        assert data[AUTHORITIES] == city[AUTHORITIES], "nobody is told to trust the workers' authority"
        assert set(data) == {CERTIFICATE, KEY, AUTHORITIES}
    assert workers[CERTIFICATE] != city[CERTIFICATE]
    writes = server.writes
    ensure(objects, SETTINGS, NOW + timedelta(days=1))
    assert server.writes == writes == 4


def test_certificates_are_renewed_and_authorities_follow_each_other(
    server: ApiServer, objects: Objects
) -> None:
    ensure(objects, SETTINGS, NOW)
    before = server.data("plaza-catalogue-tls")
    ensure(objects, SETTINGS, NOW + timedelta(days=21))
    assert server.data("plaza-catalogue-tls")[CERTIFICATE] != before[CERTIFICATE]
    first = server.data("plaza-ca")
    for day in (0, 1):
        ensure(objects, SETTINGS, NOW + LIFE * 3 / 4 + timedelta(days=day))
    assert server.data("plaza-ca")[CERTIFICATE] != first[CERTIFICATE]
    data = server.data("plaza-catalogue-tls")
    assert issued_by(data, server.data("plaza-ca"))
    assert len(x509.load_pem_x509_certificates(data[AUTHORITIES])) == 2


def test_what_somebody_else_made_is_not_overwritten(server: ApiServer, objects: Objects) -> None:
    server.bring("plaza-catalogue-tls", {CERTIFICATE: b"theirs"})
    with pytest.raises(NotOurs, match="plaza-catalogue-tls"):
        ensure(objects, SETTINGS, NOW)
    assert server.data("plaza-catalogue-tls") == {CERTIFICATE: b"theirs"}


def test_an_authority_that_somebody_brings_signs_and_is_left_alone(
    server: ApiServer, objects: Objects
) -> None:
    brought = SETTINGS.model_copy(update={"supplied": True, "workers": ""})
    with pytest.raises(AuthorityMissing, match="plaza-ca"):
        ensure(objects, brought, NOW)
    certificate, key = Authority.new("ours", NOW, LIFE).pem()
    server.bring("plaza-ca", {CERTIFICATE: certificate, KEY: key})
    ensure(objects, brought, NOW + LIFE * 3 / 4)
    assert server.data("plaza-ca") == {CERTIFICATE: certificate, KEY: key}
    assert issued_by(server.data("plaza-catalogue-tls"), server.data("plaza-ca"))
    assert server.data("plaza-catalogue-tls")[AUTHORITIES] == certificate
    # Replaced as the runbook says: first both are trusted, then the other one signs.
    second, second_key = Authority.new("ours too", NOW, LIFE).pem()
    server.bring("plaza-ca", {CERTIFICATE: second, KEY: second_key, AUTHORITIES: certificate + second})
    ensure(objects, brought, NOW)
    assert issued_by(server.data("plaza-catalogue-tls"), server.data("plaza-ca"))
    assert server.data("plaza-catalogue-tls")[AUTHORITIES] == certificate + second


def test_two_runs_at_the_same_time_do_not_mix(server: ApiServer, objects: Objects) -> None:
    server.meanwhile = "plaza-ca"
    with pytest.raises(MadeAtTheSameTime):
        ensure(objects, SETTINGS, NOW)
    server.meanwhile = None
    ensure(objects, SETTINGS, NOW)
    server.meanwhile = "plaza-catalogue-tls"
    with pytest.raises(ClusterUnavailable, match="409"):
        ensure(objects, SETTINGS, NOW + timedelta(days=21))

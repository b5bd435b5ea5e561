"""The keys of a cluster: made once, never overwritten, never replaced in silence."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import httpx
import pytest
from plaza_kit.cluster_keys import KeySettings, KeysLost, ensure
from plaza_kit.cluster_objects import ClusterUnavailable, Objects
from plaza_kit.signing import BadKey, KeyRing, SigningKey

SETTINGS = KeySettings(keys_secret="plaza-keys", keys_trust="plaza-trust", keys_console="plaza-console")


class ApiServer:
    """Objects by path; as the real one it makes none twice."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, str]] = {}
        self.status: int | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.status:
            return httpx.Response(self.status)
        path = request.url.path.removeprefix("/api/v1/namespaces/plaza/")
        if request.method == "GET":
            data = self.objects.get(path)
            return httpx.Response(404) if data is None else httpx.Response(200, json={"data": data})
        body = json.loads(request.content)
        assert body["immutable"] is True
        path = f"{path}/{body['metadata']['name']}"
        if path in self.objects:
            return httpx.Response(409)
        self.objects[path] = body["data"]
        return httpx.Response(201, json=body)


@pytest.fixture
def server() -> ApiServer:
    return ApiServer()


@pytest.fixture
def objects(server: ApiServer) -> Objects:
    http = httpx.Client(base_url="https://cluster.example", transport=httpx.MockTransport(server))
    return Objects(http, "plaza")


def test_all_is_made_once_and_goes_together(server: ApiServer, objects: Objects, tmp_path: Path) -> None:
    ensure(objects, SETTINGS)
    before = dict(server.objects)
    keys = {k: base64.b64decode(v) for k, v in before["secrets/plaza-keys"].items()}
    signing = SigningKey.from_text(keys["signing-key"], Path("signing-key"))
    (tmp_path / "trust.json").write_text(before["configmaps/plaza-trust"]["trust.json"])
    assert KeyRing.load(tmp_path / "trust.json").find(signing.key_id) == signing.verifying_key
    assert SigningKey.from_text(keys["ledger-key"], Path("ledger-key")).name == "ledger.plaza.local"
    console = base64.b64decode(before["secrets/plaza-console"]["console-key"])
    assert len(base64.b64decode(console.strip(), validate=True)) == 32
    ensure(objects, SETTINGS)
    assert server.objects == before


def test_what_a_stopped_run_left_out_is_made_by_the_next(server: ApiServer, objects: Objects) -> None:
    ensure(objects, SETTINGS)
    trust = server.objects.pop("configmaps/plaza-trust")
    del server.objects["secrets/plaza-console"]
    ensure(objects, SETTINGS)
    assert server.objects["configmaps/plaza-trust"] == trust
    assert "secrets/plaza-console" in server.objects


def test_a_lost_key_is_not_replaced(server: ApiServer, objects: Objects) -> None:
    ensure(objects, SETTINGS)
    del server.objects["secrets/plaza-keys"]
    with pytest.raises(KeysLost, match="are gone"):
        ensure(objects, SETTINGS)
    assert "secrets/plaza-keys" not in server.objects


def test_another_key_than_the_trusted_one_is_refused(server: ApiServer, objects: Objects) -> None:
    ensure(objects, SETTINGS)
    other = SigningKey.generate("security.plaza.local").to_text()
    server.objects["secrets/plaza-keys"]["signing-key"] = base64.b64encode(other).decode()
    with pytest.raises(KeysLost, match="does not hold the public key"):
        ensure(objects, SETTINGS)
    server.objects["secrets/plaza-keys"]["ledger-key"] = base64.b64encode(b"nothing").decode()
    with pytest.raises(BadKey, match="plaza-keys/ledger-key"):
        ensure(objects, SETTINGS)


def test_a_right_that_is_missing_is_named(server: ApiServer, objects: Objects) -> None:
    server.status = 403
    with pytest.raises(ClusterUnavailable, match=r"GET .*configmaps/plaza-trust: HTTP 403"):
        ensure(objects, SETTINGS)

"""The whole door: settings, readiness, what is refused where, and its document."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from plaza_gateway import health
from plaza_gateway.app import create_app, peers_of
from plaza_gateway.settings import GatewaySettings
from plaza_kit.settings import BadSettings, load
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

sys.path.insert(0, str(Path(__file__).parent / "protos"))
from gateway_city import city, settings

DEAD = "unix:/nonexistent/plaza.sock"


def http_of(app: FastAPI, *, faults: bool = True) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=faults)
    return httpx.AsyncClient(transport=transport, base_url="http://plaza.test")


def test_all_missing_settings_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLAZA_ISSUER", raising=False)
    with pytest.raises(BadSettings) as told:
        load(GatewaySettings)
    for name in ("ISSUER", *(f"{each}_ADDRESS" for each in ("INGESTION", "OPEN_DATA", "QUALITY", "SHARING"))):
        assert f"set PLAZA_{name}" in str(told.value)


def test_the_public_face_needs_only_what_it_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAZA_FACES", '["public"]')
    monkeypatch.setenv("PLAZA_ISSUER", "http://issuer.test")
    for name in ("SECURITY", "CATALOGUE", "OPEN_DATA"):
        monkeypatch.setenv(f"PLAZA_{name}_ADDRESS", DEAD)
    peers = peers_of(load(GatewaySettings))
    with pytest.raises(KeyError):
        peers.channel("ingestion")


def test_a_public_address_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAZA_PUBLIC_URL", "https://data.example/")
    with pytest.raises(BadSettings, match="PLAZA_PUBLIC_URL"):
        load(GatewaySettings)


@pytest.mark.integration
async def test_readiness_asks_the_services_of_the_face() -> None:
    async with city(("public",)) as public:
        ready = await public.http.get("/readyz")
        assert (ready.status_code, set(ready.json()["services"])) == (
            200,
            {"catalogue", "open-data", "security"},
        )
    async with city() as both:
        assert len((await both.http.get("/readyz")).json()["services"]) == 6


async def test_ready_from_the_moment_when_it_can_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    serve: set[str] = {"catalogue"}

    async def serving(_: object, name: str) -> bool:
        return name in serve

    monkeypatch.setattr(health, "_serving", serving)
    chosen = settings(DEAD)
    app = create_app(chosen, peers_of(chosen))
    async with http_of(app) as http:
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (503, False)  # no portal without open-data
        serve |= {"open-data"}
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (200, True)
        assert ready.json()["services"]["quality"] == "not serving"
        serve.clear()
        ready = await http.get("/readyz")
        assert (ready.status_code, set(ready.json()["services"].values())) == (200, {"not serving"})


async def test_people_get_pages_and_programs_get_problems() -> None:
    chosen = settings(DEAD, city="云汀市")
    app = create_app(chosen, peers_of(chosen))

    async def broken() -> None:
        raise RuntimeError("secret")

    app.router.routes.insert(0, _route("/zh/broken", broken))
    app.router.routes.insert(0, _route("/api/broken", broken))
    async with http_of(app, faults=False) as http:
        page = await http.get("/nowhere", headers={"accept-language": "en"})
        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert '<html lang="en"' in page.text
        for path in ("/api/nowhere", "/healthz/x"):
            problem = await http.get(path)
            assert (problem.status_code, problem.json()["reason"]) == (404, "NO_SUCH_ADDRESS")
        refused = await http.post("/healthz")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET")
        assert refused.headers["content-type"] == "application/problem+json"
        fault, api_fault = await http.get("/zh/broken"), await http.get("/api/broken")
    assert (fault.status_code, fault.headers["content-type"]) == (500, "text/html; charset=utf-8")
    assert "secret" not in fault.text
    assert (api_fault.status_code, api_fault.json()["reason"]) == (500, "INTERNAL")


def _route(path: str, endpoint: object) -> object:
    from fastapi.routing import APIRoute

    return APIRoute(path, endpoint)


async def test_the_internal_face_alone_has_no_pages() -> None:
    chosen = settings(DEAD, ("internal",))
    async with http_of(create_app(chosen, peers_of(chosen))) as http:
        answer = await http.get("/zh/")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("faces", [("public",), ("internal",)])
async def test_the_document_is_whole(faces: tuple[str, ...]) -> None:
    chosen = settings(DEAD, faces)
    async with http_of(create_app(chosen, peers_of(chosen))) as http:
        answer = await http.get("/api/v1/openapi.json")
        identity = await http.get("/api/v1/identity")
    document = answer.json()
    OPENAPI_31_VALIDATOR.validate(document)
    for part in answer.text.split('"$ref":"#/components/')[1:]:
        kind, _, name = part.partition('"')[0].partition("/")
        assert name in document["components"][kind]
    assert "/api/v1/identity" in document["paths"]
    assert identity.json() == {"issuer": "http://issuer.test", "clientId": "plaza-cli"}
    ids = [each["operationId"] for item in document["paths"].values() for each in item.values()]
    assert len(ids) == len(set(ids))

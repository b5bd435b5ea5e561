"""Every route is served on the faces it declares, and on no other."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import httpx
import plaza_protos
import pytest
from google.api import annotations_pb2 as http_pb2
from google.protobuf import descriptor_pb2
from plaza.catalogue.v1 import catalogue_pb2
from plaza.common.v1 import annotations_pb2
from plaza.ingestion.v1 import ingestion_pb2
from plaza.opendata.v1 import opendata_pb2
from plaza.quality.v1 import quality_pb2
from plaza.security.v1 import security_pb2
from plaza.sharing.v1 import sharing_pb2
from plaza_gateway.app import BEHIND, create_app, peers_of
from plaza_gateway.settings import GatewaySettings
from plaza_gateway.streams import STREAMS
from plaza_gateway.transcode import Contract, ContractError
from plaza_kit.rpc.guard import is_anonymous

FILES = (catalogue_pb2, ingestion_pb2, opendata_pb2, quality_pb2, security_pb2, sharing_pb2)
ADDRESS = "unix:/nonexistent/plaza.sock"
FACES = (("public",), ("internal",), ("public", "internal"))


@dataclass(frozen=True)
class Door:
    """A route as its source declares it."""

    rpc: str
    verb: str
    path: str
    face: int


def declared() -> Iterator[Door]:
    """Routes of the protos, read from the generated code and not by the gateway's own reader."""
    for file in FILES:
        for service in file.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                options = method.GetOptions()
                if options.HasExtension(http_pb2.http):
                    rule = options.Extensions[http_pb2.http]
                    for each in (rule, *rule.additional_bindings):
                        verb = each.WhichOneof("pattern")
                        face = options.Extensions[annotations_pb2.face]
                        yield Door(method.full_name, verb.upper(), getattr(each, verb), face)


def by_hand() -> Iterator[Door]:
    for each in STREAMS:
        face = annotations_pb2.FACE_PUBLIC if each.face == "public" else annotations_pb2.FACE_INTERNAL
        yield Door(each.rpc, each.verb, each.template, face)


DOORS = [*declared(), *by_hand()]


def sample(template: str) -> str:
    return re.sub(r"\{[^=}]*=([^}]*)\}|\{[^}]*\}", lambda found: found[1] or "a", template).replace("*", "a")


@asynccontextmanager
async def gateway(faces: tuple[str, ...]) -> AsyncIterator[httpx.AsyncClient]:
    names = BEHIND if "internal" in faces else ("catalogue", "open-data", "security")
    addresses = {f"{name.replace('-', '_')}_address": ADDRESS for name in names}
    settings = GatewaySettings(issuer="http://issuer.test", faces=faces, **addresses)
    app = create_app(settings, peers_of(settings))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://plaza.test") as http,
    ):
        yield http


@pytest.mark.parametrize("faces", FACES)
async def test_every_route_is_served_on_its_faces_only(faces: tuple[str, ...]) -> None:
    assert len(DOORS) > 40
    public = {sample(door.path) for door in DOORS if door.face == annotations_pb2.FACE_PUBLIC}
    async with gateway(faces) as http:
        described = (await http.get("/api/v1/openapi.json")).json()["paths"]
        operations = {
            operation.get("x-plaza-rpc") for item in described.values() for operation in item.values()
        }
        for door in DOORS:
            assert door.face != annotations_pb2.FACE_UNSPECIFIED, door
            answer = await http.options(sample(door.path))
            served = "internal" in faces or door.face == annotations_pb2.FACE_PUBLIC
            if served:
                assert door.verb in answer.headers["allow"].split(", "), door
            else:
                assert sample(door.path) not in public, "a path of both faces would answer 405"
                assert (answer.status_code, answer.json()["reason"]) == (404, "ROUTE_NOT_FOUND"), door
            assert (door.rpc in operations) == served, door


async def test_without_internal_face_the_internal_routes_are_404_for_every_verb() -> None:
    async with gateway(("public",)) as http:
        for door in DOORS:
            if door.face == annotations_pb2.FACE_INTERNAL:
                assert (await http.request(door.verb, sample(door.path))).status_code == 404, door


def test_an_rpc_without_a_face_is_a_build_error() -> None:
    files = descriptor_pb2.FileDescriptorSet.FromString(plaza_protos.descriptor_set())
    bare = next(file for file in files.file if file.name.endswith("quality.proto"))
    bare.service[0].method[0].options.ClearExtension(annotations_pb2.face)
    with pytest.raises(ContractError, match="must declare its face"):
        Contract(files.SerializeToString())


def test_a_hand_written_route_must_fit_its_rpc() -> None:
    contract = Contract(plaza_protos.descriptor_set())
    route = next(each for each in STREAMS if each.face == "public")
    with pytest.raises(ContractError, match="declares the face public"):
        replace(route, face="internal").route(contract)
    with pytest.raises(ContractError, match="no such method"):
        replace(route, rpc="plaza.opendata.v1.PortalService.Nope").route(contract)
    with pytest.raises(ContractError, match="one must go"):
        replace(route, rpc="plaza.opendata.v1.PortalService.GetPortalSummary").route(contract)


@pytest.mark.parametrize("route", STREAMS, ids=lambda route: route.template)
def test_a_route_for_everybody_is_one_for_the_service_too(route: object) -> None:
    """The guard of the service must not ask for a token where the document says that none is needed."""
    service, _, method = route.rpc.rpartition(".")
    assert is_anonymous(f"/{service}/{method}") == route.anonymous

"""Whoever has left is refused: at each call, in the middle of a stream, and when nobody can say who has left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest
from plaza.security.v1 import security_pb2
from plaza.sharing.v1 import sharing_pb2, sharing_pb2_grpc
from plaza_kit import policy
from plaza_kit.identity import Principal, PrincipalKind, ServiceTokens, TokenVerifier
from plaza_kit.policy import (
    BUNDLE_TYPE,
    STALE_SECONDS,
    AccountClosed,
    LeaversUnknown,
    PolicyFollower,
)
from plaza_kit.rpc.client import Peers
from plaza_kit.rpc.server import Server
from plaza_kit.signing import KeyRing, SigningKey
from plaza_kit.statements import sign_statement

KEY = SigningKey.from_seed("plaza.example/security", bytes(range(32)))
SCHEMA = """namespace Plaza {
  entity Principal { kind: String, client: String, departments: Set<String>, roles: Set<String> };
  entity System;
  action "look" appliesTo { principal: Principal, resource: System, context: {} };
}"""
POLICIES = 'permit (principal, action == Plaza::Action::"look", resource);'


def caller(subject: str, kind: PrincipalKind = PrincipalKind.PERSON, client: str = "plaza-cli") -> Principal:
    return Principal(
        subject, subject, subject, kind, frozenset(), frozenset(), client, "t", datetime.now(UTC)
    )


@dataclass
class Security:
    """Answers with a bundle, as the service does."""

    denied: list[str] = field(default_factory=list)
    age: timedelta | None = timedelta(seconds=1)

    async def bundle(self, *_: object, **__: object) -> security_pb2.GetPolicyBundleResponse:
        now = datetime.now(UTC)
        claims = {
            "policies": POLICIES,
            "schema": SCHEMA,
            "version": "1",
            "denied": self.denied,
            "iat": int(now.timestamp()),
            "exp": int((now + timedelta(minutes=5)).timestamp()),
        }
        answer = security_pb2.GetPolicyBundleResponse(bundle=sign_statement(claims, typ=BUNDLE_TYPE, key=KEY))
        if self.age is not None:
            answer.leavers_age.FromTimedelta(self.age)
        return answer


@dataclass
class Room:
    security: Security
    follower: PolicyFollower
    now: list[float]

    async def pull(self, *denied: str, age: timedelta | None = timedelta(seconds=1)) -> None:
        self.security.denied, self.security.age = list(denied), age
        await self.follower.pull()


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    security, now = Security(), [1000.0]
    stub = SimpleNamespace(GetPolicyBundle=security.bundle)
    monkeypatch.setattr(policy.security_pb2_grpc, "PolicyServiceStub", lambda channel: stub)
    peers = cast(Peers, SimpleNamespace(channel=lambda name: None))

    async def nobody(tokens: object) -> tuple[tuple[str, str], ...]:
        return ()

    monkeypatch.setattr(policy, "as_service", nobody)
    ring = KeyRing([KEY.verifying_key])
    return Room(security, PolicyFollower(peers, cast(ServiceTokens, None), ring, clock=lambda: now[0]), now)


async def test_accounts_and_clients_that_were_closed(room: Room) -> None:
    await room.pull("s-1", "ecology-worker")
    machine = caller("s-9", PrincipalKind.MACHINE, "ecology-worker")
    for gone in (caller("s-1"), machine):
        with pytest.raises(AccountClosed):
            room.follower.admit(gone)
    room.follower.admit(caller("s-2"))
    await room.pull()
    room.follower.admit(machine)


async def test_nobody_but_services_comes_in_when_nobody_can_say_who_left(room: Room) -> None:
    person = caller("s-1")
    service = caller("s-8", PrincipalKind.SERVICE, "plaza-catalogue")
    with pytest.raises(LeaversUnknown):
        room.follower.admit(person)
    await room.pull(age=timedelta(seconds=20))
    room.now[0] += STALE_SECONDS - 20
    room.follower.admit(person)
    room.now[0] += 1
    with pytest.raises(LeaversUnknown):
        room.follower.admit(person)
    room.follower.admit(service)
    await room.pull(age=timedelta(seconds=STALE_SECONDS + 1))
    with pytest.raises(LeaversUnknown):
        room.follower.admit(person)


async def test_where_nobody_asks_the_issuer_nothing_is_in_doubt(room: Room) -> None:
    await room.pull(age=None)
    room.follower.admit(caller("s-1"))


class Rows(sharing_pb2_grpc.RowsServiceServicer):
    """Sends for as long as anybody listens."""

    async def ReadRows(self, request: Any, context: Any) -> AsyncIterator[sharing_pb2.ReadRowsResponse]:
        while True:
            yield sharing_pb2.ReadRowsResponse(chunk=b"row")


class Anybody(TokenVerifier):
    """Takes subjects for tokens."""

    def __init__(self) -> None:
        super().__init__("https://issuer.example", "plaza")

    async def verify(self, token: str) -> Principal:
        return caller(token)


@pytest.mark.integration
async def test_a_stream_that_has_begun_is_cut(room: Room, tmp_path: Path) -> None:
    await room.pull()
    address = f"unix:{tmp_path}/s.sock"
    verifier = Anybody()
    add = sharing_pb2_grpc.add_RowsServiceServicer_to_server
    server = Server(
        address,
        verifier,
        [lambda to: add(Rows(), to)],
        ["plaza.sharing.v1.RowsService"],
        None,
        room.follower.admit,
    )
    await server.start()
    async with grpc.aio.insecure_channel(address, options=[("grpc.default_authority", "plaza")]) as channel:
        stub = sharing_pb2_grpc.RowsServiceStub(channel)
        request = sharing_pb2.ReadRowsRequest(dataset="departments/ecology/datasets/air")

        def read(subject: str) -> Any:
            return stub.ReadRows(request, metadata=[("authorization", f"Bearer {subject}")], timeout=30)

        leaver, other = read("s-1"), read("s-2")
        for stream in (leaver, other):
            assert (await stream.read()).chunk
        await room.pull("s-1")
        with pytest.raises(grpc.aio.AioRpcError) as cut:
            while True:
                assert (await leaver.read()).chunk
        assert cut.value.code() is grpc.StatusCode.UNAUTHENTICATED
        for _ in range(100):
            assert (await other.read()).chunk
        again = read("s-1")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            assert await again.read()
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        other.cancel()
    await server.stop()
    await verifier.aclose()

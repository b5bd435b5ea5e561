"""What a gate lets through: every form in which rows leave, whoever reads, whatever quality says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from plaza.quality.v1 import gates_pb2, gates_pb2_grpc
from plaza.sharing.v1 import sharing_pb2 as pb
from plaza_kit.identity import ServiceTokens
from plaza_kit.names import DatasetName
from plaza_kit.rpc.client import Peers
from plaza_sharing.domain.deliveries import MADE
from plaza_sharing.domain.gates import Gate, HeldBack, Verdict, VersionBeingChecked, VersionStopped, admitted
from plaza_sharing.rpc.peers import QualityAway, QualityPeer

AIR = DatasetName.parse("departments/ecology/datasets/air")
RULES = (("phone-present", "有电话"), ("once", ""))
FORMS = [
    pb.ROW_FORMAT_JSON,
    pb.ROW_FORMAT_CSV,
    pb.ROW_FORMAT_JSONL,
    pb.ROW_FORMAT_PARQUET,
    pb.ROW_FORMAT_ARROW,
]
PASSED = Gate(Verdict.PASSED, last_good=3)
STATES = {
    # What quality says of the newest of three versions, and which one comes when none is named.
    "passed": (PASSED, 3),
    "stopped": (Gate(Verdict.STOPPED, RULES, 1), 1),
    "stopped, none good": (Gate(Verdict.STOPPED, RULES), VersionStopped),
    "checking": (Gate(Verdict.CHECKING, last_good=2), 2),
    "checking, none good": (Gate(Verdict.CHECKING), VersionBeingChecked),
}


def test_the_rule_in_words() -> None:
    stopped = Gate(Verdict.STOPPED, RULES, 4)
    assert admitted(AIR, 7, PASSED, named=False) == admitted(AIR, 7, PASSED, named=True) == (7, None)
    held = HeldBack(7, False, ("phone-present", "once"))
    assert admitted(AIR, 7, stopped, named=False) == (4, held)
    with pytest.raises(VersionStopped) as refusal:
        admitted(AIR, 7, stopped, named=True)
    assert "version 7" in refusal.value.message
    assert "phone-present (有电话), once" in refusal.value.message
    assert "read version 4" in refusal.value.remedy
    assert "ecology has to load" in refusal.value.remedy
    assert refusal.value.facts == {"version": "7", "rules": "phone-present,once", "last_good_version": "4"}
    with pytest.raises(VersionBeingChecked) as waiting:
        admitted(AIR, 7, Gate(Verdict.CHECKING), named=False)
    assert "being checked" in waiting.value.message
    assert waiting.value.remedy == "ask again in some seconds"


@pytest.mark.integration
@pytest.mark.parametrize("state", STATES)
async def test_every_exit_in_every_state(sharing: Any, state: str) -> None:
    gate, newest = STATES[state]
    name = ""
    for rows in (1, 2, 3):
        name = sharing.load([_row(rows)], dataset=name)
    sharing.directory.guarded.add(name)
    sharing.quality.said = {(name, 3): gate} | dict.fromkeys([(name, 1), (name, 2)], PASSED)

    sharing.be("reader", name.split("/")[1])
    for form in FORMS:
        assert (await sharing.read(name, format=form)).header.version == 3, "the owner reads everything"
    assert sharing.quality.asked == []

    sharing.be("reader", "transport")
    for form in FORMS:
        if isinstance(newest, int):
            answer = await sharing.read(name, format=form)
            assert (answer.header.version, answer.trailer.rows) == (newest, newest)
            assert answer.header.HasField("held_back") == (newest != 3)
            if newest != 3:
                held = answer.header.held_back
                assert (held.version, held.checking) == (3, gate.verdict is Verdict.CHECKING)
                assert list(held.rules) == [id for id, _ in gate.rules]
        else:
            with pytest.raises(newest):
                await sharing.read(name, format=form)
        if gate.verdict is not Verdict.PASSED:
            with pytest.raises((VersionStopped, VersionBeingChecked)):
                await sharing.read(name, format=form, version=3)
        assert (await sharing.read(name, format=form, version=2)).header.version == 2
    made = await sharing.events(MADE, "dataset", name)
    assert (3 in {event["version"] for event in made}) == (gate.verdict is Verdict.PASSED)


@pytest.mark.integration
async def test_pages_go_on_at_their_version_and_stop_with_it(sharing: Any) -> None:
    name = sharing.load([_row(number) for number in range(5)])
    sharing.directory.guarded.add(name)
    sharing.quality.said = {(name, 1): Gate(Verdict.PASSED, last_good=1)}
    sharing.be("reader", "transport")
    first = await sharing.read(name, page_size=2)
    token = first.page["nextPageToken"]
    sharing.load([_row(9)], dataset=name)
    sharing.quality.said[name, 2] = Gate(Verdict.STOPPED, RULES, 1)
    second = await sharing.read(name, page_size=2, page_token=token)
    assert second.header.version == 1
    sharing.quality.said[name, 1] = Gate(Verdict.STOPPED, RULES)
    with pytest.raises(VersionStopped):
        await sharing.read(name, page_size=2, page_token=token)


@pytest.mark.integration
async def test_without_such_rules_nobody_asks(sharing: Any) -> None:
    name = sharing.load([_row(1)])
    sharing.be("reader", "transport")
    assert (await sharing.read(name)).header.version == 1
    assert sharing.quality.asked == []


class Answers(gates_pb2_grpc.GateServiceServicer):
    state = gates_pb2.GATE_STATE_STOPPED
    away = False

    async def GetGate(self, request: gates_pb2.GetGateRequest, rpc: Any) -> gates_pb2.Gate:
        assert dict(rpc.invocation_metadata())["authorization"] == "Bearer service"
        assert (request.name, request.version) == (f"{AIR}/gate", 3)
        if self.away:
            await rpc.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "late")
        rule = gates_pb2.StoppingRule(id="r", title="t")
        exit = gates_pb2.ExitGate(state=self.state, stopped_by=[rule], last_good_version=2)
        return gates_pb2.Gate(sharing=exit)


class Tokens:
    async def token(self) -> str:
        return "service"


@pytest.fixture
async def answers(tmp_path: Path) -> AsyncIterator[tuple[Answers, QualityPeer]]:
    servicer, server = Answers(), grpc.aio.server()
    gates_pb2_grpc.add_GateServiceServicer_to_server(servicer, server)
    address = f"unix:{tmp_path}/s"
    server.add_insecure_port(address)
    await server.start()
    peers = Peers({"quality": address})
    yield servicer, QualityPeer(peers, cast(ServiceTokens, Tokens()))
    await peers.close()
    await server.stop(None)


@pytest.mark.integration
async def test_what_quality_answers(answers: tuple[Answers, QualityPeer]) -> None:
    servicer, peer = answers
    assert await peer.gate(AIR, 3) == Gate(Verdict.STOPPED, (("r", "t"),), 2)
    servicer.state = gates_pb2.GATE_STATE_UNSPECIFIED
    assert (await peer.gate(AIR, 3)).verdict is Verdict.CHECKING, "what is not understood opens nothing"
    servicer.away = True
    with pytest.raises(QualityAway):
        await peer.gate(AIR, 3)


def _row(hour: int) -> dict[str, Any]:
    return {"station": "a", "hour": hour, "pm2_5": 1.0, "time": None}

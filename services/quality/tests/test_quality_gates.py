"""What stops a version: the rule over every outcome of a check, and what is told of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from typing import Any, cast

import pytest
from plaza.quality.v1 import gates_pb2 as pb
from plaza_kit.policy import NotPermitted
from plaza_kit.rpc.context import set_caller
from plaza_quality.domain.around import Silence
from plaza_quality.domain.checks import NotNull
from plaza_quality.domain.counting import Counts, Finding
from plaza_quality.domain.gates import stopping
from plaza_quality.domain.rules import Dimension, Exit, Rule
from plaza_quality.domain.scores import RuleResult
from plaza_quality.rpc.gates import GateServicer
from plaza_quality.usecases.assessing import Assessing
from plaza_testing.callers import Rights, service

RPC = cast(Any, None)
Quality = Any
HARMLESS = {Silence.VERSION_BEFORE_MISSING, Silence.NO_PROMISE, Silence.NO_VALUE}


def result(*, met: bool = True, reason: str = "", absent: tuple[str, ...] = ()) -> RuleResult:
    silent = bool(reason or absent)
    counts = Counts(0, 0, 10) if silent else Counts(10 if met else 5, 0 if met else 5, 0)
    return RuleResult(
        Finding(counts, absent, reason), None if silent else Fraction(100 if met else 50), met or silent
    )


OUTCOMES = {
    "met": (result(), False),
    "not met": (result(met=False), True),
    "no row was applicable": (RuleResult(Finding(Counts(0, 0, 10)), None, True), False),
    "a field is absent": (result(absent=("x",)), True),
    "with a field that cannot be compared": (result(reason="not_a_number: x"), True),
    **{silence.value: (result(reason=silence), silence not in HARMLESS) for silence in Silence},
    "not evaluable, with words": (result(reason=f"{Silence.NOT_EVALUABLE}: no such function"), True),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_rule_stops_where_it_says_so_and_is_not_seen_to_be_met(outcome: str) -> None:
    found, stops = OUTCOMES[outcome]
    for size, exit in itertools.product(range(3), Exit):
        for said in itertools.combinations(Exit, size):
            rule = Rule(Dimension.VALIDITY, Fraction(90), Fraction(1), NotNull("x"), stops=frozenset(said))
            assert stopping([rule], [found], exit) == ((0,) if stops and exit in said else ())


def rule(id: str, field: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "title": id.upper(), "notNull": {"field": field}, **more}


GUARDED = [rule("both", "x", stopsSharing=True, stopsOpening=True), rule("open-only", "s", stopsOpening=True)]


def row(id: int, x: float | None = 1.0, s: str | None = "a") -> dict[str, Any]:
    return {"id": id, "x": x, "n": 1, "s": s}


async def gate(quality: Quality, version: int = 0) -> pb.Gate:
    request = pb.GetGateRequest(name=f"{quality.name}/gate", version=version)
    return await GateServicer(quality.world).GetGate(request, RPC)


def told(found: pb.ExitGate) -> tuple[int, list[str], int]:
    return found.state, [each.id for each in found.stopped_by], found.last_good_version


@pytest.mark.integration
async def test_versions_at_the_gate(quality: Quality) -> None:
    quality.rules(*GUARDED, rule("marks", "n"))
    good = await quality.assessed([row(1)])
    assert [(each.exit, each.stopped) for each in good.gates] == [
        (pb.EXIT_SHARING, False),
        (pb.EXIT_OPENING, False),
    ]
    await quality.assessed([row(2, s=None)])
    bad = await quality.assessed([row(3, x=None)])
    assert [(e.exit, e.stopped, [(r.id, r.title) for r in e.stopped_by]) for e in bad.gates] == [
        (pb.EXIT_SHARING, True, [("both", "BOTH")]),
        (pb.EXIT_OPENING, True, [("both", "BOTH"), ("open-only", "OPEN-ONLY")]),
    ]
    waiting = quality.commit([row(4)]).version
    await quality.deliver(quality.event(waiting))

    newest = await gate(quality)
    assert newest.version == 4
    assert told(newest.sharing) == (pb.GATE_STATE_CHECKING, [], 2)
    assert told(newest.opening) == (pb.GATE_STATE_CHECKING, [], 1)
    assert told((await gate(quality, 3)).sharing) == (pb.GATE_STATE_STOPPED, ["both"], 2)
    second = await gate(quality, 2)
    assert told(second.sharing) == (pb.GATE_STATE_PASSED, [], 2)
    assert told(second.opening) == (pb.GATE_STATE_STOPPED, ["open-only"], 1)
    assert told((await gate(quality, 9)).sharing) == (pb.GATE_STATE_CHECKING, [], 2)

    data = [data for _, _, data, *_ in await quality.outbox() if "last_shared_version" in data]
    assert [(d["stopped_sharing"], d["stopped_opening"], d["last_shared_version"]) for d in data] == [
        ([], [], 1),
        ([], ["open-only"], 2),
        (["both"], ["both", "open-only"], 2),
    ]
    quality.rules(rule("marks", "n"))
    assert not (await quality.assessed([row(5)])).gates


@pytest.mark.integration
async def test_what_is_assessed_again_is_decided_again(quality: Quality) -> None:
    quality.rules(rule("marks", "x"))
    await quality.assessed([row(1, x=None)])
    assert told((await gate(quality)).sharing) == (pb.GATE_STATE_PASSED, [], 1)
    quality.rules(rule("marks", "x", stopsSharing=True), contract_version=2)
    await Assessing(quality.world).assess(quality.name, 1, 2)
    assert told((await gate(quality)).sharing) == (pb.GATE_STATE_STOPPED, ["marks"], 0)


@pytest.mark.integration
async def test_who_may_ask_at_the_gate(new_quality: Callable[..., Quality]) -> None:
    quality = new_quality(Rights({"data-officer": {"gate.read"}, "plaza-service": {"gate.read"}}))
    quality.be("data-officer")
    assert told((await gate(quality, 1)).sharing) == (pb.GATE_STATE_CHECKING, [], 0)
    set_caller(service("sharing"))
    assert (await gate(quality, 1)).version == 1
    quality.be("reader")
    with pytest.raises(NotPermitted):
        await gate(quality, 1)

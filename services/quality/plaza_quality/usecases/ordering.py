"""What assessments, new versions and the calendar do to work orders."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Final

import uuid_utils.compat as uuid
from plaza.common.v1 import contract_pb2
from plaza.quality.v1 import work_orders_pb2 as pb
from plaza_kit import telemetry
from plaza_kit.db import Scope
from plaza_kit.db.outbox import NewEvent
from plaza_kit.names import DatasetName
from plaza_kit.working_days import due
from plaza_lake.verdicts import VERDICT
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_quality.domain import checks
from plaza_quality.domain.rules import Dimension, Rule, Severity, rule_of
from plaza_quality.domain.scores import RuleResult, published, score_text
from plaza_quality.domain.work_orders import (
    Findings,
    Judged,
    NotPossible,
    State,
    Step,
    after,
    findings,
    overdue_becomes,
    step,
)
from plaza_quality.storage import work_orders
from plaza_quality.storage.assessments import Made
from plaza_quality.storage.work_orders import Entry, Evidence, state_of
from plaza_quality.usecases.ports import World

_log = telemetry.log("work-orders")

_EVENT: Final = "city.plaza.quality.work_order."
_LOOK_SECONDS: Final = 300.0
_AT_ONCE: Final = 200
_ESCALATED: Final = tuple(state for state in State if overdue_becomes(state))
_STATES: Final = {Step.OPEN: State.OPEN, Step.REOPEN: State.REOPENED, Step.CLOSE: State.CLOSED}
_WORDS: Final = {Step.OPEN: "opened", Step.REOPEN: "reopened", Step.CLOSE: "closed"}


class Ordering:
    """In the service's own name."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def judge(
        self, connection: AsyncConnection, name: DatasetName, version: int, made: Made
    ) -> list[str]:
        """What a new assessment opens, closes and re-opens, in the transaction that keeps it. Answers the names of
        those that it opened, again or for the first time."""
        rules = [rule_of(rule) for rule in made.rules]
        assessment = made.assessment
        judged = [
            Judged(rule.dimension, rule.severity in (Severity.SEVERE, Severity.REFUSE), result.met)
            for rule, result in zip(rules, assessment.results, strict=True)
            if result.pass_rate is not None
        ]
        found = findings(
            assessment.rows, assessment.score, assessment.dimensions, judged, self._world.ordering
        )
        opened: list[str] = []
        if not found:
            return opened
        known = await work_orders.newest(connection, name)
        for dimension, one in found.items():
            id_, before = known.get(dimension, ("", None))
            what = step(before, one, version, made.time, self._world.ordering)
            if what is Step.NOTHING:
                continue
            state = _STATES.get(what, before.state if before else State.OPEN)
            evidence = Evidence(version, published(one.score), _failed(dimension, rules, made))
            id_ = await self._take(connection, name, dimension, id_, what, state, one, evidence, made)
            if what in (Step.OPEN, Step.REOPEN):
                opened.append(_name(name, id_))
        return opened

    async def _take(
        self,
        connection: AsyncConnection,
        name: DatasetName,
        dimension: Dimension,
        id_: str,
        what: Step,
        state: State,
        found: Findings,
        evidence: Evidence,
        made: Made,
    ) -> str:
        profile = self._world.ordering
        entry = Entry(made.time, self._world.principal, version=evidence.version, score=evidence.score)
        deadline = due(made.time, profile.working_days)
        if what is Step.OPEN:
            id_ = str(uuid.uuid7())
            target = Decimal(published(profile.target))
            await work_orders.insert(
                connection, id_, name, dimension, target, evidence, deadline, profile.working_days, entry
            )
        else:
            told = None if what is Step.NOTE else entry
            again = deadline if what is Step.REOPEN else None
            await work_orders.judge(connection, id_, state, evidence, again, told)
        if what in _WORDS:
            data: dict[str, object] = {
                "dataset": str(name),
                "dimension": dimension.value,
                "version": evidence.version,
                "score": score_text(found.score),
            }
            await self._tell(connection, name, id_, _WORDS[what], data)
        return id_

    async def corrected(
        self,
        connection: AsyncConnection,
        name: DatasetName,
        order: str,
        version: int,
        principal: str,
        run: str,
    ) -> None:
        """A correction of its rows came in with a version: whoever loaded it has answered. One that nobody has to
        answer any more stays as it is."""
        id_ = order.rpartition("/")[2]
        await work_orders.hold(connection, name.department, id_)
        found = await work_orders.find(connection, name.department, id_, self._world.today())
        if found is None or found.dataset != str(name):
            _log.warning("a correction names no work order of its dataset", dataset=str(name), order=order)
            return
        try:
            state = after("answer", state_of(found))
        except NotPossible:
            return
        entry = Entry(self._world.now(), principal, text=run, version=version)
        await work_orders.move(connection, id_, state, entry)

    async def recheck(self, connection: AsyncConnection, name: DatasetName, version: int) -> None:
        """A new version is there: what was answered is looked at again."""
        entry = Entry(self._world.now(), self._world.principal, version=version)
        for id_ in await work_orders.answered(connection, name):
            await work_orders.move(connection, id_, State.RECHECKING, entry)

    async def watch(self) -> None:
        """For ever: escalates what is overdue, and computes provisional deadlines again."""
        while True:
            try:
                await self.look()
            except Exception as error:  # whatever it is, the next look may succeed
                _log.warning("cannot look at deadlines", error=repr(error)[:300])
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> int:
        """Answers how many were escalated."""
        escalated = 0
        while some := await self._escalate():
            escalated += some
        async with self._world.database.transaction(Scope.everything()) as connection:
            for id_, begun, days, before in await work_orders.provisional(connection):
                if (now := due(begun, days)) != before:
                    await work_orders.set_due(connection, id_, now)
        return escalated

    async def _escalate(self) -> int:
        now = self._world.now()
        async with self._world.database.transaction(Scope.everything()) as connection:
            late = await work_orders.overdue(connection, self._world.today(), _ESCALATED, _AT_ONCE)
            for id_, name, _ in late:
                entry = Entry(now, self._world.principal)
                await work_orders.move(connection, id_, State.ESCALATED, entry)
                await self._tell(connection, name, id_, "escalated", {"dataset": str(name)})
        if late:
            self._world.outbox.wake()
        return len(late)

    async def _tell(
        self, connection: AsyncConnection, name: DatasetName, id_: str, word: str, data: dict[str, object]
    ) -> None:
        event = NewEvent(f"{_EVENT}{word}.v1", _name(name, id_), data, self._world.principal)
        await self._world.outbox.write(connection, event)


def _name(dataset: DatasetName, id_: str) -> str:
    return f"departments/{dataset.department}/workOrders/{id_}"


def _failed(dimension: Dimension, rules: list[Rule], made: Made) -> list[pb.FailedRule]:
    """The rules of a dimension that failed some row, the worst first."""
    failed = [
        _failed_rule(message, rule, result)
        for message, rule, result in zip(made.rules, rules, made.assessment.results, strict=True)
        if rule.dimension is dimension and result.finding.counts.failed
    ]
    return sorted(failed, key=lambda rule: (rule.pass_rate - rule.threshold, rule.id))


def _failed_rule(message: contract_pb2.QualityRule, rule: Rule, result: RuleResult) -> pb.FailedRule:
    assert result.pass_rate is not None, "a rule that failed rows judged them"
    counts = result.finding.counts
    return pb.FailedRule(
        id=message.id,
        title=message.title,
        failed=counts.failed,
        judged=counts.passed + counts.failed,
        pass_rate=float(published(result.pass_rate)),
        threshold=float(rule.threshold),
        rows_filter=""
        if checks.kind_of(rule.check).scope is checks.Scope.TABLE
        else f"{VERDICT}.{message.id} = fail",
    )

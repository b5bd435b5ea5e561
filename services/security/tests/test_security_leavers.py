"""What security knows of leavers: the last answer stands, and its age is told."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from plaza_kit.errors import PlazaError
from plaza_kit.identity import IssuerUnavailable
from plaza_security.usecases.authority import Authority
from plaza_security.usecases.leavers import NEVER_SECONDS, Leavers
from prometheus_client import REGISTRY


@dataclass
class Issuer:
    """Says what it is told to say, and takes two seconds for it."""

    now: list[float]
    answers: list[frozenset[str] | PlazaError] = field(default_factory=list)

    async def look(self) -> frozenset[str]:
        self.now[0] += 2
        answer = self.answers.pop(0)
        if isinstance(answer, PlazaError):
            raise answer
        return answer


async def test_the_last_answer_stands_while_the_issuer_is_away() -> None:
    now = [100.0]
    away = IssuerUnavailable("https://id.example", "it does not answer")
    issuer = Issuer(now, [frozenset({"s-1"}), away, frozenset()])
    leavers = Leavers(issuer, lambda: now[0])
    assert (leavers.closed(), leavers.age()) == (frozenset(), NEVER_SECONDS)
    await leavers.ask()
    assert (leavers.closed(), leavers.age()) == ({"s-1"}, 2), "as old as the question"
    now[0] += 10
    with pytest.raises(IssuerUnavailable):
        await leavers.ask()
    assert (leavers.closed(), leavers.age()) == ({"s-1"}, 14)
    assert (REGISTRY.get_sample_value("plaza_leavers_heard_timestamp_seconds") or 0) > 1e9
    await leavers.ask()
    assert (leavers.closed(), leavers.age()) == (frozenset(), 2)


async def test_the_bundle_is_another_one_when_somebody_left() -> None:
    now = [0.0]
    leavers = Leavers(Issuer(now, [frozenset({"s-1"})]), lambda: now[0])
    authority = Authority(None, leavers.closed)
    before = authority.bundle()
    await leavers.ask()
    after = authority.bundle()
    assert (after.denied, before.denied) == ({"s-1"}, frozenset())
    assert after.etag != before.etag

"""Death on purpose strikes where it is told to, and only where it is allowed."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from plaza_operator import faults

BODY = {"metadata": {"annotations": {faults.ANNOTATION: "3"}}}


class Died(BaseException):
    """In place of the process's end."""


@pytest.fixture(autouse=True)
def mortal(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(code: int) -> None:
        raise Died

    monkeypatch.setattr(os, "_exit", die)


async def _call() -> None:
    faults.called()


async def test_the_third_call_is_the_last_also_in_tasks() -> None:
    with faults.armed(BODY, allowed=True):
        await asyncio.gather(_call(), _call())
        with pytest.raises(Died):
            await asyncio.gather(_call())
    await _call()


@pytest.mark.parametrize(
    ("body", "allowed"),
    [
        (BODY, False),
        ({"metadata": {}}, True),
        ({"metadata": {"annotations": {faults.ANNOTATION: "x"}}}, True),
    ],
)
async def test_nobody_dies_otherwise(body: dict[str, Any], allowed: bool) -> None:
    with faults.armed(body, allowed=allowed):
        for _ in range(5):
            faults.called()

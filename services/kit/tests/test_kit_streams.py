"""Blocking iterators in a thread: order, errors, and an early end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing

import pytest
from plaza_kit.streams import in_thread


async def test_items_come_in_order_from_one_other_thread() -> None:
    threads = set()

    def numbers() -> Iterator[int]:
        for number in range(100):
            threads.add(threading.current_thread())
            yield number

    assert [number async for number in in_thread(numbers)] == list(range(100))
    assert len(threads) == 1
    assert threading.main_thread() not in threads


async def test_errors_of_the_iterator_are_raised_here() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise KeyError("row 2")

    stream = in_thread(broken)
    assert await anext(stream) == 1
    with pytest.raises(KeyError, match="row 2"):
        await anext(stream)


async def test_a_reader_that_leaves_early_closes_the_iterator() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    async with aclosing(in_thread(endless)) as stream:
        async for _ in stream:
            break
    assert closed.is_set()


async def test_a_long_step_that_nobody_waits_for_holds_nobody_up() -> None:
    closed = threading.Event()

    def slow() -> Iterator[int]:
        try:
            time.sleep(0.5)
            yield 1
        finally:
            closed.set()

    async def read() -> None:
        async with aclosing(in_thread(slow)) as stream:
            async for _ in stream:
                pass

    reader = asyncio.create_task(read())
    await asyncio.sleep(0.05)
    reader.cancel()
    ticks = 0
    while not reader.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert ticks > 10
    assert closed.is_set()

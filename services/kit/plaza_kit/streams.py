"""Blocking iterators, read without holding up the event loop: a query's rows, a file's pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_END = object()


async def in_thread(make: Callable[[], Iterator[T]]) -> AsyncGenerator[T, None]:
    """What `make()` yields, made and read in one thread of its own, one item ahead of the reader at most.

    The iterator is closed in that thread, also when the reader leaves early; a step that is under way ends
    first, without holding up the loop. Use it with `contextlib.aclosing`, so that leaving early closes it at
    once. Errors of the iterator are raised here.
    """
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stream")
    made: list[Iterator[T]] = []

    def step() -> object:
        if not made:
            made.append(make())
        return next(made[0], _END)

    def close() -> None:
        for source in made:
            if (end := getattr(source, "close", None)) is not None:
                end()

    try:
        while (item := await loop.run_in_executor(thread, step)) is not _END:
            yield item  # type: ignore[misc]  # `next` answers an item or the mark of the end
    finally:
        closing = loop.run_in_executor(thread, close)
        thread.shutdown(wait=False)
        # Shielded: a reader that is cancelled once more leaves, the iterator is closed all the same.
        await asyncio.shield(closing)

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

    The iterator is closed in that thread, also when the reader leaves early. Use it with
    `contextlib.aclosing`, so that leaving early closes it at once. Errors of the iterator are raised here.
    """
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="stream") as thread:
        source = await loop.run_in_executor(thread, make)
        try:
            while (item := await loop.run_in_executor(thread, next, source, _END)) is not _END:
                yield item  # type: ignore[misc]  # `next` answers an item or the mark of the end
        finally:
            if (close := getattr(source, "close", None)) is not None:
                # Not awaited through `loop`: a reader that was cancelled may wait for nothing more.
                thread.submit(close).result()

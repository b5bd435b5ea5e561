"""Child processes of the one-machine mode: started, watched, restarted with back-off, and never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STOP_SECONDS = 15.0
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 8.0
STEADY_SECONDS = 10.0
"""A process that lived this long starts its back-off from the beginning."""

_POLL_SECONDS = 0.2


@dataclass(slots=True)
class Child:
    """One service or worker as a process of its own."""

    name: str
    module: str
    environment: Mapping[str, str] = field(repr=False)
    log_file: Path
    pid: int = 0
    state: str = "starting"
    restarts: int = 0
    since: float = 0.0
    ends: bool = False
    """It may end by itself, with 0; all others are meant to run for ever."""
    _pause: float = field(default_factory=lambda: FIRST_PAUSE_SECONDS, init=False, repr=False)

    def status(self) -> dict[str, Any]:
        """As `plaza status` shows it."""
        return {
            "name": self.name,
            "pid": self.pid,
            "state": self.state,
            "restarts": self.restarts,
            "since": self.since,
        }

    async def run(self) -> None:
        """Keep it running until cancelled; then end it."""
        while True:
            await self._attempt()

    async def run_until_done(self, wanted: Callable[[], bool]) -> None:
        """Run it until it ends with 0; a process that dies is started again while it is `wanted`."""
        while await self._attempt() != 0:
            while not wanted():
                self.state = "died, waits for work"
                await asyncio.sleep(_POLL_SECONDS)

    async def _attempt(self) -> int:
        """Run it once. Answers how it ended, behind the pause that must lie before the next attempt."""
        started = time.monotonic()
        process = await self._start()
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            await _end(process)
            self.state, self.pid = "stopped", 0
            raise
        if time.monotonic() - started > STEADY_SECONDS:
            self._pause = FIRST_PAUSE_SECONDS
        self.pid = 0
        if self.ends and code == 0:
            self.state = "ended"
            return code
        self.state = f"ended with {code}, starts again in {self._pause:g} s"
        self.restarts += 1
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        return code

    async def _start(self) -> asyncio.subprocess.Process:
        with self.log_file.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "plaza_cli.child",
                str(os.getpid()),
                self.module,
                env=dict(self.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A group of its own: Ctrl-C reaches this process only, which then ends the others in order.
                start_new_session=True,
            )
        self.pid, self.state, self.since = process.pid, "running", time.time()
        return process


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

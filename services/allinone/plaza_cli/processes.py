"""Child processes of the one-machine mode: started, watched, restarted with back-off, and never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

STOP_SECONDS = 15.0
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 30.0
"""A process that lived this long starts its back-off from the beginning."""

_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Child:
    """One service as a process of its own."""

    name: str
    module: str
    environment: Mapping[str, str] = field(repr=False)
    log_file: Path
    pid: int = 0
    state: str = "starting"
    restarts: int = 0
    since: float = 0.0

    async def run(self) -> None:
        """Keep it running until cancelled; then end it."""
        pause = 0.5
        while True:
            started = time.monotonic()
            process = await self._start()
            try:
                code = await process.wait()
            except asyncio.CancelledError:
                await _end(process)
                self.state = "stopped"
                raise
            if time.monotonic() - started > STEADY_SECONDS:
                pause = 0.5
            self.state, self.pid = f"ended with {code}, starts again in {pause:g} s", 0
            self.restarts += 1
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _start(self) -> asyncio.subprocess.Process:
        with self.log_file.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self.module,
                env=dict(self.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A group of its own: Ctrl-C reaches this process only, which then ends the others in order.
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self.pid, self.state, self.since = process.pid, "running", time.time()
        return process


def _die_with_parent() -> None:
    """Ask Linux to end the child when its parent dies, even by SIGKILL."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == 1:
        os._exit(1)


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

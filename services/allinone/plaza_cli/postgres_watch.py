"""The embedded PostgreSQL, watched like the services: when it dies it is started again, on the same address."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from typing import Any

from plaza_cli.processes import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS

_POLL_SECONDS = 0.3


class PostgresWatch:
    """One server. Committed rows survive its death: PostgreSQL replays its write-ahead log when it starts."""

    def __init__(self, server: Any) -> None:
        """`server`: what `postgres.start` answered."""
        self._server = server
        self._restarts = 0
        self._since = time.time()
        self._state = "running"

    def status(self) -> dict[str, Any]:
        """As `plaza status` shows it, beside the services."""
        return {
            "name": "postgres",
            "pid": self._server.get_pid() or 0,
            "state": self._state,
            "restarts": self._restarts,
            "since": self._since,
        }

    async def run(self) -> None:
        """Until cancelled."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            if self._is_running():
                continue
            self._state = "died, starts again"
            print("plaza: PostgreSQL died and is started again", file=sys.stderr, flush=True)
            try:
                # Not in the loop: recovery may take its time. The handle is ours alone, see `postgres.start`.
                await asyncio.to_thread(self._server.ensure_postgres_running)
            except (
                Exception
            ) as error:  # what the wheel raises is not documented; the next attempt may succeed
                self._state = f"cannot be started, tried again in {pause:g} s"
                print(f"plaza: PostgreSQL cannot be started yet: {error}", file=sys.stderr, flush=True)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                continue
            pause = FIRST_PAUSE_SECONDS
            self._restarts += 1
            self._state, self._since = "running", time.time()

    def _is_running(self) -> bool:
        with contextlib.suppress(ChildProcessError):
            # Where this process is the first of its container the dead are its own to bury, or they seem alive.
            os.waitpid(self._server.get_pid(), os.WNOHANG)
        return bool(self._server.get_postmaster_info().is_running())

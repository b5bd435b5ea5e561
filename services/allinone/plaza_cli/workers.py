"""Department workers of the one-machine mode: started while work waits, one process a department."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import grpc
from plaza.ingestion.v1 import worker_pb2, worker_pb2_grpc
from plaza_issuer.realm import secret_variable
from plaza_kit.errors import PlazaError
from plaza_kit.identity import ServiceTokens
from plaza_kit.rpc.client import Peers, as_service

from plaza_cli import environments
from plaza_cli.environments import WORKER_MODULE, Suite
from plaza_cli.processes import Child

POLL_SECONDS = 0.5
_ANSWER_SECONDS = 5.0
SUPERVISOR = "plaza-supervisor"

Ask = Callable[[], Awaitable[Iterable[str]]]
"""Answers the ids of departments with work that waits. Raises what the call raises."""


def worker_of(suite: Suite, department: str) -> Child | None:
    """The process of a department's worker, not yet started; None when the realm has no client for it."""
    environment = environments.worker(suite, department)
    if environment is None:
        return None
    module = suite.module("worker", WORKER_MODULE)
    log_file = suite.home.log_file(f"worker-{department}")
    return Child(f"worker {department}", module, environment, log_file, ends=True)


async def supervise(workers: Workers, suite: Suite) -> None:
    """Ask ingestion for ever, in the supervisor's own name, and see that workers run."""
    tokens = ServiceTokens(suite.issuer, SUPERVISOR, suite.secrets[secret_variable(SUPERVISOR)])
    peers = Peers({"ingestion": suite.address("ingestion")})
    stub = worker_pb2_grpc.WorkerServiceStub(peers.channel("ingestion"))

    async def ask() -> list[str]:
        metadata = await as_service(tokens)
        request = worker_pb2.ListWaitingDepartmentsRequest()
        answer = await stub.ListWaitingDepartments(request, timeout=_ANSWER_SECONDS, metadata=metadata)
        return [name.removeprefix("departments/") for name in answer.departments]

    try:
        await workers.run(ask)
    finally:
        await peers.close()
        await tokens.aclose()


@dataclass(slots=True)
class Workers:
    """The workers that run, or died and will run again."""

    make: Callable[[str], Child | None]
    """Answers None for a department that no worker can be started for."""
    _children: dict[str, Child] = field(default_factory=dict, init=False)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict, init=False)
    _waiting: frozenset[str] = field(default=frozenset(), init=False)
    _without_client: dict[str, float] = field(default_factory=dict, init=False)

    def status(self) -> list[dict[str, Any]]:
        """As `plaza status` shows them, beside the services."""
        missing = [
            {
                "name": f"worker {department}",
                "pid": 0,
                "state": f"cannot start: the realm has no client {department}-worker",
                "restarts": 0,
                "since": since,
            }
            for department, since in self._without_client.items()
        ]
        return [*(child.status() for _, child in sorted(self._children.items())), *missing]

    async def run(self, ask: Ask) -> None:
        """Until cancelled; then all workers end."""
        try:
            while True:
                try:
                    self._waiting = frozenset(await ask())
                except (grpc.aio.AioRpcError, PlazaError):
                    pass  # ingestion or the issuer is away: what runs goes on, and the next question comes soon
                else:
                    self._forget_the_ended()
                    for department in sorted(self._waiting - self._tasks.keys()):
                        self._start(department)
                await asyncio.sleep(POLL_SECONDS)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _start(self, department: str) -> None:
        child = self.make(department)
        if child is None:
            self._report_once(department)
            return
        self._without_client.pop(department, None)
        self._children[department] = child
        self._tasks[department] = asyncio.create_task(
            child.run_until_done(lambda: department in self._waiting), name=child.name
        )

    def _forget_the_ended(self) -> None:
        for department in [name for name, task in self._tasks.items() if task.done()]:
            task = self._tasks.pop(department)
            del self._children[department]
            if (error := task.exception()) is not None:
                print(
                    f"plaza: the worker of {department} cannot be started: {error}",
                    file=sys.stderr,
                    flush=True,
                )

    def _report_once(self, department: str) -> None:
        if department not in self._without_client:
            self._without_client[department] = time.time()
            print(
                f"plaza: work waits for {department}, and the realm has no client {department}-worker:"
                " its files are not read until there is one",
                file=sys.stderr,
                flush=True,
            )

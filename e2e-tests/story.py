"""A suite started as a newcomer would start it, and the command as different people use it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

PLAZA = str(Path(sys.executable).parent / "plaza")
START_SECONDS = 400


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(holds: Callable[[], bool], promise: str, seconds: float = 30) -> None:
    """Waits for what follows by itself, such as an event's effect."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {promise}"
        time.sleep(0.2)


@dataclass
class Story(ABC):
    """A running Plaza, wherever it runs, as different people use it."""

    home: Path
    """Where people's own files lie."""

    password = "plaza-demo"
    """Of all people."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Of the gateway: its internal face."""

    @property
    def portal(self) -> str:
        """Of its public face."""
        return self.url

    @property
    @abstractmethod
    def issuer(self) -> str:
        """Of the realm."""

    @property
    def api(self) -> str:
        return f"{self.url}/api/v1"

    def environment(self, person: str = "") -> dict[str, str]:
        return {
            **os.environ,
            "PLAZA_URL": self.url,
            "PLAZA_CONFIG_DIR": str(self.home / "people" / (person or "nobody")),
            "NO_PROXY": "127.0.0.1",
        }

    def plaza(self, *arguments: str, person: str = "", stdin: str = "", ok: bool = True) -> Any:
        """Run the command with --json; answers its output read as JSON (or the finished process if not `ok`)."""
        done = subprocess.run(
            [PLAZA, *arguments, "--json"],
            env=self.environment(person),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if not ok:
            return done
        assert done.returncode == 0, (
            f"plaza {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return json.loads(done.stdout) if done.stdout.strip() else None

    def log_in(self, person: str) -> None:
        self.plaza("login", "--user", person, "--password-stdin", person=person, stdin=f"{self.password}\n")

    def token(self, person: str) -> str:
        """An access token, for what the command does not do."""
        answer = httpx.post(
            f"{self.issuer}/protocol/openid-connect/token",
            data={
                "grant_type": "password",
                "client_id": "plaza-cli",
                "username": person,
                "password": self.password,
                "scope": "openid organization:*",
            },
            trust_env=False,
        )
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    def get(self, path: str, person: str = "", **query: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token(person)}"} if person else {}
        return httpx.get(f"{self.api}{path}", params=query, headers=headers, trust_env=False, timeout=30)


@dataclass
class Suite(Story):
    """The one-machine suite."""

    port: int
    issuer_port: int
    command: tuple[str, ...] = (PLAZA, "up")
    process: subprocess.Popen[str] | None = None
    lines: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.issuer_port}/realms/plaza"

    def environment(self, person: str = "") -> dict[str, str]:
        return super().environment(person) | {
            "PLAZA_HOME": str(self.home),
            "PLAZA_PORT": str(self.port),
            "PLAZA_ISSUER_PORT": str(self.issuer_port),
        }

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines = []
        ready = threading.Event()
        threading.Thread(target=self._read, args=(ready,), daemon=True).start()
        if not ready.wait(START_SECONDS) or not any("Plaza is ready" in line for line in self.lines):
            logs = "\n".join(
                f"--- {log.name}\n{log.read_text()[-3000:]}" for log in sorted((self.home / "logs").glob("*"))
            )
            self.stop()
            pytest.fail("the suite did not become ready:\n" + "".join(self.lines) + logs)

    def _read(self, ready: threading.Event) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if "Plaza is ready" in line:
                ready.set()
        ready.set()

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

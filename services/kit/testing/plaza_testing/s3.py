"""A real S3 for tests: a `versitygw` (Apache-2.0) over a temporary folder, on loopback.

The program is looked for in `PLAZA_TEST_S3_GATEWAY`, then on the PATH. Where there is none, the tests that ask are
skipped and say how to get it; `PLAZA_REQUIRE_S3=1` forbids the skip.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from plaza_kit.objects.settings import S3Access

_GET: Final = "go install github.com/versity/versitygw/cmd/versitygw@v1.8.0"
_ROOT: Final = ("root-of-tests", "secret-of-root-of-tests")
_STARTS_IN_SECONDS: Final = 20.0


@dataclass(frozen=True)
class Gateway:
    """A running gateway; its administrator makes users and buckets."""

    program: str
    endpoint: str

    def access(self) -> S3Access:
        """The administrator's keys, which open everything."""
        return S3Access(self.endpoint, "us-east-1", *_ROOT)

    def user(self) -> S3Access:
        """Keys of a new user, which open no bucket yet."""
        name, secret = f"u{uuid.uuid4().hex[:12]}", uuid.uuid4().hex
        self._admin("create-user", "--access", name, "--secret", secret, "--role", "user")
        return S3Access(self.endpoint, "us-east-1", name, secret)

    def bucket(self, owner: S3Access | None = None, name: str = "") -> str:
        """A new bucket; opened by the administrator, and by its owner."""
        name = name or f"b-{uuid.uuid4().hex[:12]}"
        (owner or self.access()).filesystem(allow_bucket_creation=True)  # the keys are ones that S3 knows
        self.access().filesystem(allow_bucket_creation=True).create_dir(name)
        if owner is not None:
            self._admin("change-bucket-owner", "--bucket", name, "--owner", owner.access_key)
        return name

    def _admin(self, *arguments: str) -> None:
        access, secret = _ROOT
        command = [self.program, "admin", "-a", access, "-s", secret, "-er", self.endpoint, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def s3() -> Iterator[Gateway]:
    """Started by the first test that asks, stopped with the session."""
    program = os.environ.get("PLAZA_TEST_S3_GATEWAY") or shutil.which("versitygw")
    if program is None:
        if os.environ.get("PLAZA_REQUIRE_S3"):
            pytest.fail(f"PLAZA_REQUIRE_S3 is set, and there is no versitygw: {_GET}")
        pytest.skip(f"NOT TESTED ON S3: no versitygw on the PATH or in PLAZA_TEST_S3_GATEWAY ({_GET})")
    folder = Path(tempfile.mkdtemp(prefix="plaza-s3-"))
    for name in ("data", "metadata", "users"):
        (folder / name).mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [program, "--access", _ROOT[0], "--secret", _ROOT[1], "--port", f"127.0.0.1:{port}", "--quiet"]
    command += ["--iam-dir", str(folder / "users")]
    command += ["posix", "--sidecar", str(folder / "metadata"), str(folder / "data")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait(process, port, folder / "log")
        yield Gateway(program, f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + _STARTS_IN_SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.02)

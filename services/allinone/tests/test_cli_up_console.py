"""The console's key: made once, for the gateway alone."""

from __future__ import annotations

import stat
from pathlib import Path

from plaza_cli import environments
from plaza_cli.environments import Suite
from plaza_cli.home import SERVICES, Home
from plaza_gateway.console.sealing import Seal


def test_the_consoles_key_is_made_once_and_told_to_the_gateway_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    secrets = home.prepare()
    sealed = Seal.of_file(home.console_key).seal("session", {"a": 1}, 1.0)
    assert stat.S_IMODE(home.console_key.stat().st_mode) == 0o600
    home.prepare()
    assert Seal.of_file(home.console_key).unseal("session", sealed, 0.0) == {"a": 1}

    suite = Suite(home, tmp_path / "sockets", 18080, 18081, secrets, outside={})
    assert environments.gateway(suite)["PLAZA_CONSOLE_KEY_FILE"] == str(home.console_key)
    others = [environments.issuer(suite), environments.worker(suite, "ecology") or {}]
    others += [environments.service(suite, one, "postgresql://x") for one in SERVICES]
    assert all("PLAZA_CONSOLE_KEY_FILE" not in one for one in others)

"""Somebody leaves, and comes back: what an administrator does at the issuer, on one machine and in a cluster."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cluster
import httpx
from plaza_kit.identity.realm_file import secret_variable
from story import Story, Suite

AWAY_SECONDS = 30
_KEYCLOAK = "deployment/plaza-dev-keycloak"


def set_open(story: Story, name: str, is_open: bool) -> None:
    """Closes or opens the account of a person (log-in name) or a client."""
    if isinstance(story, cluster.Cluster):
        admin = story.admin()
        if (client := admin.get_client_id(name)) is not None:
            admin.update_client(client, {"clientId": name, "enabled": is_open})
        else:
            user = admin.get_user(str(admin.get_user_id(name)))
            admin.update_user(user["id"], {**user, "enabled": is_open})
        return
    subprocess.run(
        [sys.executable, "-m", "plaza_issuer", "open" if is_open else "close", name],
        env=story.environment(),
        check=True,
        timeout=60,
    )


def worker_token(story: Story, department: str) -> httpx.Response:
    """As the department's worker asks for it."""
    client = f"{department}-worker"
    if isinstance(story, cluster.Cluster):
        found = json.loads(
            cluster.kubectl("get", "secret", "worker", "-o", "json", namespace=f"dept-{department}")
        )
        secret = base64.b64decode(found["data"]["client-secret"]).decode()
    else:
        known = json.loads((story.home / "secrets" / "secrets.json").read_text())
        secret = known[secret_variable(client)]
    form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
    return httpx.post(f"{story.issuer}/protocol/openid-connect/token", data=form, trust_env=False, timeout=30)


@contextmanager
def issuer_away(story: Story) -> Iterator[None]:
    """On one machine the issuer's process stands still; in a cluster Keycloak has no pod, and is started anew."""
    if isinstance(story, cluster.Cluster):
        cluster.kubectl("scale", _KEYCLOAK, "--replicas=0")
        gone = ("wait", "--for=delete", "pod", "-l", "app.kubernetes.io/component=keycloak")
        cluster.kubectl(*gone, "--timeout=60s")
        try:
            yield
        finally:
            cluster.kubectl("scale", _KEYCLOAK, "--replicas=1")
            cluster.kubectl("rollout", "status", _KEYCLOAK, "--timeout=280s")
        return
    assert isinstance(story, Suite)
    pid = _issuer_pid(story)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _issuer_pid(suite: Suite) -> int:
    status = json.loads((suite.home / "run" / "status.json").read_text())
    return int(next(one["pid"] for one in status["processes"] if one["name"] == "issuer"))


def until_refused(ask: Callable[[], int], deadline: float) -> None:
    """Until the answer refuses the caller. Fails past the deadline (of the monotonic clock)."""
    while (status := ask()) != 401:
        assert time.monotonic() < deadline, f"still answered with {status}"
        time.sleep(0.25)

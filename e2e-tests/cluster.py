"""Plaza in a cluster, installed as a platform team would: three charts, one resource a department, people in Keycloak.

The cluster is any that `KUBECONFIG` leads to and whose nodes have the images of `make images`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from keycloak import KeycloakAdmin
from keycloak_pages import People
from plaza_cli.demo import ensure
from plaza_cli.demo.city import DEPARTMENTS
from plaza_kit.identity.realm_file import REALM_FILE
from story import PLAZA, Story

NAMESPACE = "plaza"
CHARTS = Path(__file__).resolve().parent.parent / "charts"
PASSWORD = "plaza-demo-in-a-cluster"  # the realm's policy asks for twelve letters and more
INSTALLED_SECONDS = 600
_ADDRESS = re.compile(r"or open (http\S+)")
_GOOD_SECONDS = 20
_KEYCLOAK_PORT, _PUBLIC_PORT, _INTERNAL_PORT = 30180, 30280, 30281


def wanted() -> bool:
    """Whether the stories are to be told in a cluster."""
    return os.environ.get("PLAZA_E2E_CLUSTER") == "1"


def ready(folder: Path) -> Cluster:
    """Installed now, or with `PLAZA_E2E_INSTALLED=1` found installed. What is kept of the people's log-ins lies in
    `PLAZA_E2E_HOME`, else in the folder."""
    plaza = Cluster(Path(os.environ.get("PLAZA_E2E_HOME") or folder / "home"))
    if os.environ.get("PLAZA_E2E_INSTALLED") == "1":
        plaza.attach()
    else:
        plaza.install()
    return plaza


def run(*command: str, stdin: str = "", seconds: float = 300) -> str:
    """What a command says. Fails the test with all of it otherwise."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def kubectl(*arguments: str, stdin: str = "", namespace: str = NAMESPACE, seconds: float = 300) -> str:
    """kubectl in the release's namespace."""
    return run("kubectl", "--namespace", namespace, *arguments, stdin=stdin, seconds=seconds)


@dataclass
class Cluster(Story):
    """A release of the charts, and its people."""

    password = PASSWORD
    host: str = field(default_factory=lambda: os.environ.get("PLAZA_E2E_NODE", "127.0.0.1"))
    """Under which the node's ports are reached."""
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each step of the installation took."""
    people: People = field(default_factory=lambda: People(PASSWORD))
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{_INTERNAL_PORT}"

    @property
    def portal(self) -> str:
        return f"http://{self.host}:{_PUBLIC_PORT}"

    @property
    def keycloak(self) -> str:
        return f"http://{self.host}:{_KEYCLOAK_PORT}"

    @property
    def issuer(self) -> str:
        return f"{self.keycloak}/realms/plaza"

    def install(self) -> None:
        """From nothing to a city with departments, people and the demo's datasets."""
        for step in (self._charts, self._departments, self._people, self._city):
            begun = time.monotonic()
            step()
            self.seconds[step.__name__.strip("_")] = time.monotonic() - begun

    def attach(self) -> None:
        """To a release that is there already: its departments and people are made where they lack."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.people.secrets |= json.loads(self._factors.read_text()) if self._factors.exists() else {}
        for step in (self._departments, self._people):
            step()

    def _charts(self) -> None:
        helm = ("helm", "upgrade", "--install", "--namespace", NAMESPACE, "--create-namespace")
        waiting = ("--wait", "--timeout", f"{INSTALLED_SECONDS}s")
        run(*helm, "plaza-crds", str(CHARTS / "plaza-crds"), *waiting)
        dev = {
            "keycloak": {
                "hostname": self.keycloak,
                "service": {"type": "NodePort", "nodePort": _KEYCLOAK_PORT},
            }
        }
        run(*helm, "plaza-dev", str(CHARTS / "plaza-dev"), "--values", "-", *waiting,
            stdin=json.dumps(dev), seconds=INSTALLED_SECONDS)  # fmt: skip
        values = ("--values", str(CHARTS / "plaza" / "values-dev.yaml"), "--values", "-")
        run(*helm, "plaza", str(CHARTS / "plaza"), *values, *waiting,
            stdin=json.dumps(self._values()), seconds=INSTALLED_SECONDS)  # fmt: skip

    def _values(self) -> dict[str, Any]:
        def face(port: int, url: str) -> dict[str, Any]:
            return {"url": url, "service": {"type": "NodePort", "nodePort": port}}

        return {
            "keycloak": {
                "issuer": self.issuer,
                "connect": f"plaza-dev-keycloak.{NAMESPACE}.svc:8080",
            },
            "gateway": {
                "public": face(_PUBLIC_PORT, self.portal),
                "internal": face(_INTERNAL_PORT, self.url),
            },
            "operator": {
                "enabled": True,
                "keycloakUrl": f"http://plaza-dev-keycloak.{NAMESPACE}.svc:8080",
            },
        }

    def _departments(self) -> None:
        self.apply(department(name, *titles) for name, titles in DEPARTMENTS.items())
        for name in DEPARTMENTS:
            kubectl("wait", "--for=condition=Ready", f"department/{name}", "--timeout=120s")

    def apply(self, resources: Iterator[dict[str, Any]] | Sequence[dict[str, Any]]) -> None:
        """`kubectl apply` of several at once."""
        kubectl(
            "apply",
            "-f",
            "-",
            stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(resources)}),
        )

    def _people(self) -> None:
        """The demo's people, who belong to no chart: a city brings its own."""
        realm = json.loads(REALM_FILE.read_text(encoding="utf-8"))
        homes = {
            member["username"]: one["alias"] for one in realm["organizations"] for member in one["members"]
        }
        admin = self.admin()
        there = {one["username"] for one in admin.get_users()}
        for user in realm["users"]:
            if "serviceAccountClientId" in user or user["username"] in there:
                continue
            person = {key: value for key, value in user.items() if key not in ("id", "realmRoles")}
            self.appoint(admin, person, user["realmRoles"], homes.get(user["username"]))

    def appoint(
        self, admin: KeycloakAdmin, person: dict[str, Any], roles: Sequence[str], department: str | None
    ) -> None:
        """Gives a person an account with the password of all, and a place."""
        credentials = [{"type": "password", "value": PASSWORD, "temporary": False}]
        made = admin.create_user({**person, "credentials": credentials}, exist_ok=True)
        admin.assign_realm_roles(made, [admin.get_realm_role(name) for name in roles])
        if department and department not in {one["alias"] for one in admin.get_user_organizations(made)}:
            organizations = {one["alias"]: one["id"] for one in admin.get_organizations()}
            admin.organization_user_add(made, organizations[department])

    def log_in(self, person: str) -> None:
        """With a browser's pages: Keycloak takes no passwords from programs."""
        if person not in self.people.secrets:
            self._forget_second_factor(person)
        with subprocess.Popen(
            [PLAZA, "login", "--json"],
            env=self.environment(person),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as command:
            assert command.stderr is not None
            said = []
            for line in command.stderr:
                said.append(line)
                if found := _ADDRESS.search(line):
                    try:
                        self.people.confirm_device(found[1], person)
                    except BaseException:
                        command.kill()
                        raise
                    break
            said.append(command.stderr.read())
            assert command.wait(60) == 0, "".join(said)
        self._factors.write_text(json.dumps(self.people.secrets))

    @property
    def _factors(self) -> Path:
        """By it the next run can log in again, to the same release."""
        return self.home / "second-factors.json"

    def _forget_second_factor(self, person: str) -> None:
        """A device that nobody has any more: whoever logs in sets up another."""
        admin = self.admin()
        user = admin.get_user_id(person)
        for one in admin.get_credentials(user):
            if one["type"] == "otp":
                admin.delete_credential(user, one["id"])

    def token(self, person: str) -> str:
        """That of the command, which renews it."""
        with self._one_at_a_time:
            session = self._session(person)
            if session is None:
                self.log_in(person)
            elif session["expires_at"] - time.time() < _GOOD_SECONDS:
                self.plaza("whoami", person=person)
            session = self._session(person)
        assert session is not None
        return str(session["access_token"])

    def _session(self, person: str) -> dict[str, Any] | None:
        kept = Path(self.environment(person)["PLAZA_CONFIG_DIR"]) / "sessions"
        found = [json.loads(path.read_text()) for path in kept.glob("*.json")] if kept.is_dir() else []
        return found[0] if found else None

    def admin(self) -> KeycloakAdmin:
        """The realm's administration, as the platform team reaches it."""
        return KeycloakAdmin(
            server_url=self.keycloak,
            username=self.secret("plaza-dev-keycloak", "username"),
            password=self.secret("plaza-dev-keycloak", "password"),
            realm_name="plaza",
            user_realm_name="master",
            timeout=60,
        )

    def secret(self, name: str, key: str, namespace: str = NAMESPACE) -> str:
        """One value of a Secret."""
        found = json.loads(kubectl("get", "secret", name, "-o", "json", namespace=namespace))
        return base64.b64decode(found["data"][key]).decode()

    def _city(self) -> None:
        async def token_of(person: str) -> str:
            return await asyncio.to_thread(self.token, person)

        async def fill() -> None:
            async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
                await ensure(http, self.url, token_of, self.home / "demo-made")

        self.home.mkdir(parents=True, exist_ok=True)
        asyncio.run(fill())


def department(name: str, title: str, title_en: str, provider_code: str) -> dict[str, Any]:
    """Ten lines of YAML, as JSON."""
    return {
        "apiVersion": "plaza.city/v1alpha1",
        "kind": "Department",
        "metadata": {"name": name},
        "spec": {
            "displayName": {"zh": title, "en": title_en},
            "providerCode": provider_code,
            "contact": {"name": title, "email": f"{name}@city.example"},
        },
    }


def require_tools() -> None:
    """Fails with what is missing: whoever asks for a cluster must have one."""
    for tool in ("kubectl", "helm"):
        if shutil.which(tool) is None:
            pytest.fail(f"PLAZA_E2E_CLUSTER=1 needs {tool} on the PATH")
    run("kubectl", "version")

"""Departments that a test makes for itself, and what it asks of the cluster about them and about their operator."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cluster
from cluster import NAMESPACE, Cluster, kubectl

OPERATOR = "plaza-operator"
POSTGRES = "plaza-dev-postgres-0"
PATIENCE = float(os.environ.get("PLAZA_E2E_PATIENCE", "1"))
"""How many times as long everything may take: on a machine that is busy with other things. Figures are printed as they
are."""
READY_SECONDS = 180
GONE_SECONDS = 300
CHILDREN = (
    "namespace,resourcequota,limitrange,networkpolicy,secret,serviceaccount,role,rolebinding,deployment"
)
Object = dict[str, Any]


def tenant(name: str, **spec: Any) -> Object:
    """A Department of which nothing is left when it is deleted."""
    made = cluster.department(name, f"{name} 局", f"Department {name}", "")
    made["spec"] |= {"deletionPolicy": "Delete", "deletionGraceSeconds": 0, **spec}
    return made


def seen(kind: str, *more: str, namespace: str = NAMESPACE) -> Any:
    """`kubectl get … -o json`."""
    return json.loads(kubectl("get", kind, *more, "-o", "json", namespace=namespace))


def found(kind: str, name: str, namespace: str = NAMESPACE) -> Object | None:
    """An object, or None."""
    said = kubectl("get", kind, name, "--ignore-not-found", "-o", "json", namespace=namespace)
    return json.loads(said) if said.strip() else None


def condition(department: Object, kind: str = "Ready") -> Object:
    """One condition of a Department; empty when it has none yet."""
    told = (department.get("status") or {}).get("conditions", [])
    return next((one for one in told if one["type"] == kind), {})


def is_ready(department: Object) -> bool:
    """Ready, and for what its resource says now."""
    now = condition(department)
    return now.get("status") == "True" and now["observedGeneration"] == department["metadata"]["generation"]


_STORAGE = """
import os
from datetime import UTC, datetime
import httpx
from plaza_operator.external.sigv4 import signed

def ask(method, path, body=b"", **query):
    endpoint = (os.environ.get("PLAZA_S3_ADMIN_ENDPOINT") or os.environ["PLAZA_S3_ENDPOINT"]).rstrip("/")
    address, headers = signed(method, endpoint + path, query, body, access=os.environ["PLAZA_S3_ACCESS_KEY"],
        secret=os.environ["PLAZA_S3_SECRET_KEY"], region=os.environ["PLAZA_S3_REGION"], at=datetime.now(UTC))
    return httpx.request(method, address, content=body, headers=headers, trust_env=False, timeout=10)

"""


@dataclass
class Tenants:
    """Makes them, and takes them away again with all that they had."""

    plaza: Cluster
    made: set[str] = field(default_factory=set)

    def apply(self, *resources: Object) -> None:
        """`kubectl apply`, and remembered."""
        self.made |= {one["metadata"]["name"] for one in resources}
        self.plaza.apply(resources)

    def ready(self, names: Iterable[str], seconds: float = READY_SECONDS) -> dict[str, float]:
        """Waits until all are ready; answers after how many seconds each was seen to be."""
        begun, waiting, done = time.monotonic(), set(names), {}
        while waiting:
            now = {one["metadata"]["name"]: one for one in seen("departments")["items"]}
            for name in [name for name in waiting if is_ready(now[name])]:
                waiting.remove(name)
                done[name] = time.monotonic() - begun
            late = {name: condition(now[name]) for name in sorted(waiting)[:3]}
            assert not waiting or time.monotonic() - begun < seconds * PATIENCE, (
                f"{len(waiting)} not ready: {late}"
            )
            time.sleep(0.3)
        return done

    def remove(self) -> float:
        """All that were made here, to the last entry; answers how many seconds it took."""
        begun, names = time.monotonic(), sorted(self.made)
        if names:
            kubectl("delete", "department", *names, "--ignore-not-found", "--wait=false")
            namespaces = [f"namespace/dept-{name}" for name in names]
            departments = [f"department/{name}" for name in names]
            kubectl(
                "wait", "--for=delete", *departments, *namespaces, f"--timeout={GONE_SECONDS * PATIENCE:.0f}s",
                seconds=GONE_SECONDS * PATIENCE + 30,
            )  # fmt: skip
            forget(*names)
        self.made.clear()
        return time.monotonic() - begun


def forget(*names: str) -> None:
    """A department that is gone stays in the directory, for versions and the ledger cite it. Not those of tests."""
    chosen = ", ".join(f"'{name}'" for name in names)
    sql(
        "plaza",
        f"""DO $$ DECLARE t text; BEGIN
        FOR t IN SELECT table_name FROM information_schema.columns JOIN information_schema.tables
            USING (table_schema, table_name) WHERE table_schema = 'catalogue' AND column_name = 'department'
            AND table_type = 'BASE TABLE' AND table_name <> 'departments'
        LOOP EXECUTE format('DELETE FROM catalogue.%I WHERE department IN ({chosen.replace("'", "''")})', t); END LOOP;
        DELETE FROM catalogue.departments WHERE department IN ({chosen}); END $$""",
    )


def events(department: str) -> list[Object]:
    """What was told about a Department."""
    chosen = f"involvedObject.kind=Department,involvedObject.name={department}"
    return list(seen("events", "--field-selector", chosen, namespace="default")["items"])


def done_about(department: str, part: str) -> dict[str, tuple[int, str]]:
    """What was ever done about a part, by event: how often, and the message.

    `Provisioned` too: so it is called while the part has not stood since it was last out of reach.
    """
    return {
        one["metadata"]["uid"]: (one.get("count") or 1, one["message"])
        for one in events(department)
        if one["reason"] in ("Repaired", "Provisioned") and one["message"].startswith(f"{part}: ")
    }


def sql(database: str, statement: str) -> str:
    """As the database's administrator, in its own pod; answers the rows, columns divided by `|`."""
    psql = ("psql", "-h", "/var/run/postgresql", "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-qAt")
    inside = ("exec", POSTGRES, "-c", "postgres", "--", *psql)
    return kubectl(*inside, "-d", database, "-c", statement).strip()


def within(seconds: float, holds: Callable[[], bool], promise: str, *, pause: float = 0.2) -> float:
    """Waits; answers after how many seconds it held."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < seconds * PATIENCE, f"not within {seconds:.0f} s: {promise}"
        time.sleep(pause)
    return time.monotonic() - begun


class Operator:
    """The operator's Deployment and its one pod."""

    def pods(self) -> list[Object]:
        """Those that are not on their way out."""
        labels = "app.kubernetes.io/instance=plaza,app.kubernetes.io/component=operator"
        return [
            one
            for one in seen("pods", "-l", labels)["items"]
            if not one["metadata"].get("deletionTimestamp") and one["status"].get("phase") != "Failed"
        ]

    def pod(self) -> Object:
        """The one."""
        (only,) = self.pods()
        return only

    def run(self, *command: str, stdin: str = "") -> str:
        """A command in its pod."""
        name = self.pod()["metadata"]["name"]
        return kubectl("exec", "-i", name, "-c", "operator", "--", *command, stdin=stdin)

    def python(self, script: str) -> str:
        """Python in its pod, with its settings in the environment."""
        return self.run("python", "-", stdin=script)

    def storage(self, script: str) -> str:
        """Python as the storage's administrator: `ask(method, path, body, **query)`. This pod has the way there."""
        return self.python(_STORAGE + script).strip()

    def set(self, **variables: str | None) -> None:
        """Further variables, None: taken away; waits for the new pod."""
        words = [f"{name}-" if value is None else f"{name}={value}" for name, value in variables.items()]
        kubectl("set", "env", f"deployment/{OPERATOR}", "-c", "operator", *words)
        self.wait()

    def wait(self) -> None:
        """Until it runs."""
        kubectl("rollout", "status", f"deployment/{OPERATOR}", "--timeout=180s")

    def restart(self) -> float:
        """A new pod; answers after how many seconds it runs."""
        begun = time.monotonic()
        kubectl("delete", "pod", self.pod()["metadata"]["name"])
        self.wait()
        return time.monotonic() - begun

    def metrics(self) -> dict[str, float]:
        """Every sample of its own, by name with labels."""
        text = self.python(
            "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9090/metrics').read().decode())"
        )
        lines = re.findall(r"^(plaza_operator_\S+?(?:\{[^}]*\})?) (\S+)$", text, flags=re.MULTILINE)
        return {name: float(value) for name, value in lines}

    def memory_mib(self) -> dict[str, float]:
        """As the kernel counts it: the process's resident set, and the working set of its control group."""
        # Of the second version of control groups, or of the first.
        group = self.run(
            "sh", "-c",
            "cat /proc/1/status /sys/fs/cgroup/memory.stat /sys/fs/cgroup/memory/memory.stat 2>/dev/null;"
            " cat /sys/fs/cgroup/memory.current /sys/fs/cgroup/memory/memory.usage_in_bytes 2>/dev/null || true",
        ).split()  # fmt: skip

        def after(*names: str) -> int:
            return next(int(group[group.index(name) + 1]) for name in names if name in group)

        resident, inactive = after("VmRSS:") / 1024, after("total_inactive_file", "inactive_file")
        return {"resident": resident, "working set": (int(group[-1]) - inactive) / 2**20}


def samples(metrics: dict[str, float], name: str, *labels: str) -> float:
    """The sum of all samples of a metric that bear these labels."""
    return sum(
        value
        for key, value in metrics.items()
        if key.partition("{")[0] == name and all(label in key for label in labels)
    )


def table(title: str, rows: Sequence[Sequence[object]]) -> None:
    """Printed so that a person can read it among the test's output."""
    widths = [max(map(len, map(str, column))) for column in zip(*rows, strict=True)]
    print(f"\n{title}")
    for row in rows:
        print(
            "  " + "  ".join(f"{value!s:<{width}}" for value, width in zip(row, widths, strict=True)).rstrip()
        )


def in_background(*command: str) -> subprocess.Popen[str]:
    """A command that a test watches while it does something else."""
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

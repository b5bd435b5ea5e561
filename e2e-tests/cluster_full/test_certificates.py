"""Certificates between pods, in the cluster: who is let in, and how all are replaced while everybody calls.

The test is the platform team that brings its own: it writes the Secrets by hand, and nothing is restarted.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cluster import NAMESPACE, Cluster, kubectl
from cluster_full.machine import Machine
from cluster_full.tenants import found, seen, table, within
from plaza_kit.certificates import Authority, Holder

pytestmark = pytest.mark.e2e

SERVICES = ("catalogue", "ingestion", "quality", "sharing", "open-data", "security")
COMPONENTS = (*SERVICES, "gateway-public", "gateway-internal", "operator")
HANDSHAKES = (Path(__file__).parent / "handshakes.py").read_text("utf-8")
DEPARTMENT = "ecology"
LIFE = timedelta(days=30)
LOOK_SECONDS = 6
"""A process looks at its files every five seconds."""
KUBELET_SECONDS = 150
Data = dict[str, bytes]


def of_secret(name: str, namespace: str = NAMESPACE) -> Data:
    secret = found("secret", name, namespace)
    assert secret is not None, name
    return {key: base64.b64decode(value) for key, value in secret["data"].items()}


def write(name: str, data: Mapping[str, bytes]) -> None:
    values = {key: base64.b64encode(value).decode() for key, value in data.items()}
    kubectl(
        "patch", "secret", name, "--type=merge", "--patch-file=/dev/stdin", stdin=json.dumps({"data": values})
    )


def host(component: str) -> str:
    return f"plaza-{component}.{NAMESPACE}.svc"


def issued(authority: Authority, component: str) -> Data:
    names = (f"plaza-{component}", host(component))
    return authority.issue(Holder(names[0], names), datetime.now(UTC), LIFE)


def together(*bundles: bytes) -> bytes:
    return b"\n".join(bundles)


def way(data: Mapping[str, bytes], authority: bytes, **more: str) -> dict[str, str]:
    """How to knock with a certificate."""
    shown = {"certificate": data["tls.crt"].decode(), "key": data["tls.key"].decode()}
    return {**shown, "authority": authority.decode(), **more}


def knock(ways: Mapping[str, object], services: tuple[str, ...] = SERVICES) -> dict[str, dict[str, str]]:
    """What came of each way at each service, by its name."""
    order = {"hosts": [host(name) for name in services], "ways": ways}
    pod = "deployment/plaza-gateway-internal"
    said = kubectl("exec", "-i", pod, "--", "python", "-c", HANDSHAKES, stdin=json.dumps(order))
    answered = json.loads(said)
    return {name: answered[host(name)] for name in services}


@pytest.fixture(scope="module")
def own(plaza: Cluster) -> Data:
    """The internal gateway's own certificate, key and bundle."""
    secret = "plaza-gateway-internal-tls"
    if found("secret", secret) is None:
        pytest.fail("the release was installed without certificates between pods (tls.mode)")
    return of_secret(secret)


def test_who_is_let_in(own: Data) -> None:
    now = datetime.now(UTC)
    foreign = issued(Authority.new("strangers", now, LIFE), "gateway-internal")
    worker = of_secret("worker-tls", f"dept-{DEPARTMENT}")
    city = own["ca.crt"]
    ways = {
        "own certificate": way(own, city),
        "plaintext": {"plain": True},
        "TLS 1.2": way(own, city, newest="1.2"),
        "no certificate": {"authority": city.decode()},
        "another authority's": way(foreign, city),
        "a worker's": way(worker, city),
    }
    came = knock(ways)
    table("Knocking at the services", [("", *ways), *((name, *rows.values()) for name, rows in came.items())])
    for name, rows in came.items():
        may = {"own certificate"} | ({"a worker's"} if name == "ingestion" else set())
        for how, outcome in rows.items():
            assert outcome.startswith("served: TLSv1.3" if how in may else "refused"), (
                f"{name}, {how}: {outcome}"
            )


def test_a_department_gets_no_key_but_its_own(own: Data) -> None:
    worker = of_secret("worker-tls", f"dept-{DEPARTMENT}")
    assert set(worker) == {"tls.crt", "tls.key", "ca.crt"}
    assert worker["ca.crt"] == own["ca.crt"]
    assert b"PRIVATE" not in worker["ca.crt"] + worker["tls.crt"]
    keys = {
        name: of_secret(name).get("tls.key")
        for name in ("plaza-ca", "plaza-workers-ca")
        if found("secret", name)
    }
    assert worker["tls.key"] not in {*keys.values(), own["tls.key"]}


@dataclass
class Traffic:
    """Somebody calls all the time, through both gateways."""

    plaza: Cluster
    answered: int = 0
    shut: int = 0
    """No pod behind the Service was ready, as on a machine with too much to do: no matter of certificates."""
    failed: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Traffic:
        self._machine = Machine(self.plaza, DEPARTMENT)
        _, self._run = self._machine.order()
        self._thread = threading.Thread(target=self._call)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _call(self) -> None:
        token, until = "", 0.0
        with httpx.Client(trust_env=False, timeout=30) as http:
            while not self._over.wait(0.2):
                if time.monotonic() > until:
                    token, until = self._machine.token() or "", time.monotonic() + 60
                headers = {"authorization": f"Bearer {token}"}
                for url, sent in (
                    (f"{self.plaza.portal}/api/v1/ledger:checkpoint", {}),
                    (f"{self.plaza.portal}/api/v1/openDatasets:search", {}),
                    (f"{self.plaza.api}/departments", headers),
                    (f"{self.plaza.api}/{self._run}", headers),
                ):
                    self._ask(http, url, sent)

    def _ask(self, http: httpx.Client, url: str, headers: dict[str, str]) -> None:
        try:
            answer = http.get(url, headers=headers)
            wrong = "" if answer.is_success else f"{answer.status_code} {answer.text[:300]}"
        except httpx.ConnectError:
            self.shut += 1
            return
        except httpx.HTTPError as error:
            wrong = repr(error)
        self.answered += 1
        if wrong:
            self.failed.append(f"{datetime.now(UTC):%T} {url} {wrong}")


def pods() -> dict[str, tuple[str, int]]:
    """Of the release's processes: which pod, and how often it has started."""
    items = seen("pods", "-l", "app.kubernetes.io/instance=plaza")["items"]
    return {
        one["metadata"]["name"]: (
            one["metadata"]["uid"],
            one["status"]["containerStatuses"][0]["restartCount"],
        )
        for one in items
        if one["metadata"]["labels"]["app.kubernetes.io/component"] in COMPONENTS
        and not one["metadata"].get("deletionTimestamp")
    }


class Supplied:
    """The Secrets as somebody writes them, and the pods that read them."""

    def bring(self, secrets: Mapping[str, Mapping[str, bytes]], *, wait_for_kubelet: bool = False) -> float:
        """Writes by component, and waits until every pod has taken them; answers after how many seconds."""
        begun = time.monotonic()
        for component, data in secrets.items():
            write(f"plaza-{component}-tls", data)
        if not wait_for_kubelet:
            # A pod that changes is looked after at once.
            stamp = f"certificates={time.time():.0f}"
            kubectl("annotate", "pods", "-l", "app.kubernetes.io/instance=plaza", "--overwrite", stamp)
        for component, data in secrets.items():
            self._wait(component, data)
        seconds = time.monotonic() - begun
        time.sleep(LOOK_SECONDS)
        return seconds

    def _wait(self, component: str, data: Mapping[str, bytes]) -> None:
        wanted = {hashlib.sha256(data[name]).hexdigest() for name in ("tls.crt", "ca.crt")}
        within(
            KUBELET_SECONDS, lambda: self._read(component) == wanted, f"{component} has its files", pause=1
        )

    def _read(self, component: str) -> set[str]:
        files = ("sha256sum", "/tls/tls.crt", "/tls/ca.crt")
        said = kubectl("exec", f"deployment/plaza-{component}", "--", *files)
        return {line.split()[0] for line in said.splitlines()}


@pytest.fixture
def quiet(plaza: Cluster) -> Iterator[None]:
    """The Job does not put right meanwhile what the test brings."""
    known = found("cronjob", "plaza-certificates") is not None

    def suspended(yes: bool) -> None:
        if known:
            kubectl("patch", "cronjob", "plaza-certificates", "-p", json.dumps({"spec": {"suspend": yes}}))

    suspended(True)
    yield
    suspended(False)


@pytest.mark.usefixtures("quiet")
def test_an_authority_is_replaced_while_everybody_calls(plaza: Cluster, own: Data) -> None:
    before = {component: of_secret(f"plaza-{component}-tls") for component in COMPONENTS}
    other = Authority.new("brought by the test", datetime.now(UTC), LIFE)
    mine = {component: issued(other, component) for component in COMPONENTS}
    old, new = own["ca.crt"], other.pem()[0]
    both = together(old, new)
    supplied, running = Supplied(), pods()
    rows = []
    with Traffic(plaza) as traffic:
        try:
            seconds = supplied.bring({c: {**before[c], "ca.crt": both} for c in COMPONENTS})
            rows.append(("both are trusted", f"{seconds:.0f} s", "the kubelet called"))
            seconds = supplied.bring(
                {c: {**mine[c], "ca.crt": both} for c in COMPONENTS}, wait_for_kubelet=True
            )
            rows.append(("the new one certifies", f"{seconds:.0f} s", "the kubelet in its own time"))
            seconds = supplied.bring({c: {**mine[c], "ca.crt": new} for c in COMPONENTS})
            rows.append(("the old one is out", f"{seconds:.0f} s", "the kubelet called"))

            ways = {"old": way(own, new), "new": way(mine["gateway-internal"], new)}
            for name, came in knock(ways).items():
                assert came["old"].startswith("refused"), f"{name}: {came}"
                assert came["new"] == "served: TLSv1.3", f"{name}: {came}"

            def told() -> bool:
                return of_secret("worker-tls", f"dept-{DEPARTMENT}")["ca.crt"] == new

            within(90, told, "the department is told whom to trust", pause=1)
            machine = Machine(plaza, DEPARTMENT)
            _, run = machine.order()
            within(240, lambda: machine.state(run) == "RUN_STATE_SUCCEEDED", "a worker does work", pause=1)
        finally:
            supplied.bring({c: {**mine[c], "ca.crt": both} for c in COMPONENTS})
            supplied.bring({c: {**before[c], "ca.crt": both} for c in COMPONENTS})
            supplied.bring(before)
    table("Another authority", rows)
    failed = f"{len(traffic.failed)} failed, {traffic.shut} found the door shut"
    print(f"  {traffic.answered} requests through both gateways answered meanwhile, {failed}")
    assert not traffic.failed, "\n".join(traffic.failed[:20])
    assert traffic.answered > 100
    assert pods() == running, "nothing was started again"
    assert knock({"own": way(own, old)})["catalogue"]["own"] == "served: TLSv1.3"

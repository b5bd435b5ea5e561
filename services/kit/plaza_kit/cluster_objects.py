"""Secrets and ConfigMaps of the pod's own namespace, for the Jobs of the chart: the API server by plain HTTP.

No Kubernetes client for this: the Jobs run from an image that has none.
"""

from __future__ import annotations

import base64
import binascii
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from plaza_kit import telemetry
from plaza_kit.errors import Unavailable

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_COMPONENT: Final = "app.kubernetes.io/component"
_TLS: Final = "kubernetes.io/tls"

_log = telemetry.log("cluster")


class ClusterUnavailable(Unavailable):
    """The API server does not answer as it must."""


@dataclass(frozen=True, slots=True)
class FoundSecret:
    """A Secret as it was when somebody looked."""

    body: Mapping[str, Any]
    ours: bool
    """Made by the same Job as now asks."""

    @property
    def data(self) -> dict[str, bytes]:
        """Its values; what is no base64 counts as empty."""
        return {name: _decoded(value) for name, value in (self.body.get("data") or {}).items()}


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects of one namespace: looked up, or made when they are not there. All raise ClusterUnavailable."""

    http: httpx.Client
    namespace: str
    component: str = "keys"
    """Which Job this is: a label on all that it makes."""

    def find(self, kind: str, name: str) -> dict[str, str] | None:
        """Its data as the API server answers it; None when there is none. `kind`: `secrets` or `configmaps`."""
        found = self._found(kind, name)
        return None if found is None else dict(found.get("data") or {})

    def find_secret(self, name: str) -> FoundSecret | None:
        """For `replace`."""
        found = self._found("secrets", name)
        if found is None:
            return None
        return FoundSecret(found, (found["metadata"].get("labels") or {}).get(_COMPONENT) == self.component)

    def make(self, kind: str, name: str, data: Mapping[str, bytes], *, for_ever: bool = True) -> bool:
        """False when there is one of this name already: it stays. `for_ever`: nobody can change it later; a Secret
        that can be changed is one of certificates (`kubernetes.io/tls`)."""
        secret = kind == "secrets"
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Secret" if secret else "ConfigMap",
            "metadata": {
                "name": name,
                "labels": {"app.kubernetes.io/part-of": "plaza", _COMPONENT: self.component},
            },
            "data": _encoded(data) if secret else {k: v.decode() for k, v in data.items()},
        }
        body |= {"immutable": True} if for_ever else {"type": _TLS}
        answer = self._ask("POST", kind, body)
        if answer.status_code == httpx.codes.CONFLICT:
            return False
        _checked(answer)
        _log.info("made", kind=body["kind"], name=name)
        return True

    def replace(self, found: FoundSecret, data: Mapping[str, bytes]) -> None:
        """New values for a Secret that nobody has changed since it was found (else ClusterUnavailable)."""
        name = found.body["metadata"]["name"]
        _checked(self._ask("PUT", f"secrets/{name}", {**found.body, "data": _encoded(data)}))
        _log.info("renewed", kind="Secret", name=name)

    def _found(self, kind: str, name: str) -> dict[str, Any] | None:
        answer = self._ask("GET", f"{kind}/{name}")
        return None if answer.status_code == httpx.codes.NOT_FOUND else _checked(answer)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        try:
            return self.http.request(method, f"/api/v1/namespaces/{self.namespace}/{path}", json=body)
        except httpx.HTTPError as error:
            raise ClusterUnavailable(f"the API server does not answer: {error}") from error


def in_cluster(component: str) -> Objects:
    """The pod's own namespace, by its ServiceAccount. `component`: which Job this is."""
    # An IPv6 address wants brackets in a URL, and the name is in the API server's certificate.
    context = ssl.create_default_context(cafile=str(_ACCOUNT / "ca.crt"))
    token = (_ACCOUNT / "token").read_text().strip()
    http = httpx.Client(
        base_url="https://kubernetes.default.svc",
        headers={"Authorization": f"Bearer {token}"},
        transport=httpx.HTTPTransport(verify=context),
        timeout=10,
    )
    return Objects(http, (_ACCOUNT / "namespace").read_text().strip(), component)


def _checked(answer: httpx.Response) -> dict[str, Any]:
    if not answer.is_success:
        request = answer.request
        raise ClusterUnavailable(
            f"{request.method} {request.url.path}: HTTP {answer.status_code}",
            remedy="Look at the rights of the Job's ServiceAccount.",
        )
    document: dict[str, Any] = answer.json()
    return document


def _encoded(data: Mapping[str, bytes]) -> dict[str, str]:
    return {name: base64.b64encode(value).decode() for name, value in data.items()}


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        return b""

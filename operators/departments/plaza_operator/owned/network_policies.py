"""Who may speak with whom: nobody with anybody, but the worker with ingestion, issuer, storage, DNS and its sources."""

from __future__ import annotations

from typing import Any

from plaza_operator.domain.children import NETWORK_POLICY, Child, child
from plaza_operator.domain.platform import Platform
from plaza_operator.domain.spec import Department

DENY_ALL = "deny-all"
WORKER = "worker"
_DNS = {
    "to": [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ],
    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
}


def desired(department: Department, platform: Platform) -> tuple[Child, Child]:
    """Default deny for the namespace, and what the worker may reach."""
    deny = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    sources: list[dict[str, Any]] = [
        {
            "to": [{"ipBlock": {"cidr": source.cidr}}],
            "ports": [{"protocol": "TCP", "port": port} for port in source.ports],
        }
        for source in department.sources
    ]
    worker = {
        "podSelector": {"matchLabels": {"app.kubernetes.io/component": "worker"}},
        "policyTypes": ["Egress"],
        "egress": [_DNS, *(dict(rule) for rule in platform.worker_egress), *sources],
    }
    return (
        child(NETWORK_POLICY, department, DENY_ALL, {"spec": deny}, exact=("spec",)),
        child(NETWORK_POLICY, department, WORKER, {"spec": worker}, exact=("spec",)),
    )

"""What Prometheus reads."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RECONCILES = Counter("plaza_operator_reconciles_total", "Reconciles of departments.", ["outcome"])
SECONDS = Histogram(
    "plaza_operator_reconcile_seconds",
    "How long a reconcile took.",
    buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)
REQUESTS = Counter("plaza_operator_requests_total", "Requests by system and verb.", ["system", "verb"])
WRITES = Counter("plaza_operator_writes_total", "Requests that changed something.", ["system"])
REPAIRS = Counter("plaza_operator_repairs_total", "What somebody changed and was put right.", ["part"])
READY = Gauge("plaza_operator_departments", "Departments by whether they are ready.", ["ready"])
WORKERS = Gauge("plaza_operator_workers", "Workers that shall run, all departments together.")
GAVE_UP = Counter("plaza_operator_abandoned_deletions_total", "Deletions ended with something left standing.")
REALM = Gauge(
    "plaza_operator_realm_in_order", "1 when the realm was as the realm file says at the last look."
)

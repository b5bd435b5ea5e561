"""What a hostile program in a department's pod tries. It runs there, with what the worker's pod has, beside `ways.py`.
Prints one line of JSON an attempt; takes the groups to try as arguments.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from plaza.catalogue.v1 import catalogue_pb2, catalogue_pb2_grpc
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza.ingestion.v1 import sources_pb2, sources_pb2_grpc, worker_pb2
from ways import (
    FACTS,
    ME,
    OTHER,
    Refused,
    administers,
    call,
    connects,
    departments_in,
    ingestion_call,
    kubernetes,
    registers_a_client,
    s3,
    speaks_for_the_other,
    sql,
    token_file,
    token_of,
    worker_call,
)


def attempt(system: str, what: str, how: Callable[[], Any], *, control: bool = False) -> None:
    """Tries, and tells how it went. A control must be done; everything else must be refused."""
    try:
        outcome, words = "done", str(how() or "")
    except Refused as error:
        outcome, words = "refused", str(error)
    except Exception as error:
        outcome, words = "fault", f"{type(error).__name__}: {error}"
    row = {
        "system": system,
        "what": what,
        "control": control,
        "outcome": outcome,
        "how": " ".join(words.split())[:150],
    }
    print(json.dumps(row, ensure_ascii=False), flush=True)


def network() -> None:
    for what, place in FACTS["reachable"].items():
        attempt("network", what, lambda place=place: connects(*place), control=True)
    for what, place in FACTS["unreachable"].items():
        attempt("network", what, lambda place=place: connects(*place))


def postgresql() -> None:
    own, other = ME["role"], OTHER["role"]
    attempt(
        "PostgreSQL",
        "own landing schema: write and read",
        lambda: sql(
            f"CREATE TABLE IF NOT EXISTS {own}.mine (a int); INSERT INTO {own}.mine VALUES (1)", rows=False
        ),
        control=True,
    )
    attempt(
        "PostgreSQL", "lake catalogue", lambda: sql("SELECT * FROM lake.iceberg_tables", database="plaza")
    )
    attempt(
        "PostgreSQL",
        "jobs table",
        lambda: sql("SELECT * FROM ingestion.procrastinate_jobs", database="plaza"),
    )
    attempt(
        "PostgreSQL", "catalogue's schema", lambda: sql("SELECT * FROM catalogue.datasets", database="plaza")
    )
    attempt("PostgreSQL", "Keycloak's database", lambda: sql("SELECT 1", database="keycloak"))
    attempt("PostgreSQL", "database postgres", lambda: sql("SELECT 1", database="postgres"))
    for role in ("ingestion", "operator", "postgres", other):
        attempt("PostgreSQL", f"log in as {role}", lambda role=role: sql("SELECT 1", role=role))
    attempt("PostgreSQL", "the other's landing schema: read", lambda: sql(f"SELECT * FROM {other}.theirs"))
    attempt(
        "PostgreSQL", "the other's landing schema: write", lambda: sql(f"CREATE TABLE {other}.mine (a int)")
    )
    for role in (other, "operator"):
        attempt("PostgreSQL", f"become {role}", lambda role=role: sql(f"SET ROLE {role}"))
    attempt("PostgreSQL", "make a schema", lambda: sql("CREATE SCHEMA more"))
    attempt("PostgreSQL", "make a table in public", lambda: sql("CREATE TABLE public.mine (a int)"))
    attempt("PostgreSQL", "make a role", lambda: sql("CREATE ROLE more"))
    attempt("PostgreSQL", "a file of the server", lambda: sql("SELECT pg_read_file('/etc/passwd')"))
    attempt("PostgreSQL", "passwords", lambda: sql("SELECT rolpassword FROM pg_authid"))


def storage() -> None:
    own, other, lake = ME["bucket"], OTHER["bucket"], FACTS["lake_bucket"]
    attempt("S3", "own bucket: put", lambda: s3("PUT", f"/{own}/staging/mine", b"mine"), control=True)
    attempt("S3", "own bucket: get", lambda: s3("GET", f"/{own}/staging/mine"), control=True)
    attempt("S3", "own bucket: list", lambda: s3("GET", f"/{own}", **{"list-type": "2"}), control=True)
    for name, bucket, key in (
        ("the other's bucket", other, "staging/theirs"),
        ("the lake's bucket", lake, "x"),
    ):
        attempt("S3", f"{name}: list", lambda b=bucket: s3("GET", f"/{b}", **{"list-type": "2"}))
        attempt("S3", f"{name}: get", lambda b=bucket, k=key: s3("GET", f"/{b}/{k}"))
        attempt("S3", f"{name}: put", lambda b=bucket: s3("PUT", f"/{b}/staging/mine", b"mine"))
        attempt("S3", f"{name}: delete", lambda b=bucket, k=key: s3("DELETE", f"/{b}/{k}"))
    everybody = json.dumps(
        {
            "Statement": [
                {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{other}"}
            ]
        }
    )
    attempt("S3", "the other's bucket: policy", lambda: s3("PUT", f"/{other}", everybody.encode(), policy=""))
    attempt("S3", "a bucket of one's own choice", lambda: s3("PUT", "/a-bucket-of-mine"))
    for order in ("list-users", "list-buckets", "create-user"):
        attempt("S3", f"administration: {order}", lambda order=order: s3("PATCH", f"/{order}"))
    attempt(
        "S3",
        "administration: the other's key",
        lambda: s3("PATCH", "/update-user", access=OTHER["namespace"]),
    )


def api() -> None:
    own, other = (f"/api/v1/namespaces/{one['namespace']}" for one in (ME, OTHER))
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{ME['namespace']}"
    attempt("Kubernetes", "a token of the ServiceAccount in the pod", token_file)
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    attempt(
        "Kubernetes",
        "who am I",
        lambda: kubernetes("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review),
        control=True,
    )
    attempt("Kubernetes", "secrets without a token", lambda: kubernetes("GET", f"{own}/secrets", token=""))
    for whose, place in (("own", own), ("the other's", other)):
        attempt(
            "Kubernetes", f"{whose} secrets: list", lambda place=place: kubernetes("GET", f"{place}/secrets")
        )
        attempt(
            "Kubernetes",
            f"{whose} secret worker",
            lambda place=place: kubernetes("GET", f"{place}/secrets/worker"),
        )
        attempt("Kubernetes", f"{whose} pods: list", lambda place=place: kubernetes("GET", f"{place}/pods"))
    attempt("Kubernetes", "secrets of all", lambda: kubernetes("GET", "/api/v1/secrets"))
    attempt(
        "Kubernetes",
        "secrets of Plaza",
        lambda: kubernetes("GET", f"/api/v1/namespaces/{FACTS['release']}/secrets"),
    )
    people = "department"
    attempt(
        "Kubernetes",
        "people: own secret sources",
        lambda: kubernetes("GET", f"{own}/secrets/sources", token=people),
        control=True,
    )
    attempt(
        "Kubernetes",
        "people: own secret worker",
        lambda: kubernetes("GET", f"{own}/secrets/worker", token=people),
    )
    attempt(
        "Kubernetes",
        "people: the other's secret sources",
        lambda: kubernetes("GET", f"{other}/secrets/sources", token=people),
    )
    pod = {"metadata": {"name": "mine"}, "spec": {"containers": [{"name": "mine", "image": "mine"}]}}
    attempt("Kubernetes", "people: a pod", lambda: kubernetes("POST", f"{own}/pods", pod, token=people))
    wide = {"spec": {"hard": {"pods": "999"}}}
    attempt(
        "Kubernetes",
        "people: a wider quota",
        lambda: kubernetes("PATCH", f"{own}/resourcequotas/department", wide, token=people),
    )
    attempt(
        "Kubernetes",
        "people: no network policy",
        lambda: kubernetes(
            "DELETE",
            f"/apis/networking.k8s.io/v1/namespaces/{ME['namespace']}/networkpolicies/deny-all",
            token=people,
        ),
    )
    binding = {
        "metadata": {"name": "mine"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    }
    attempt(
        "Kubernetes",
        "people: cluster-admin",
        lambda: kubernetes("POST", f"{rbac}/rolebindings", binding, token=people),
    )
    department = f"/apis/plaza.city/v1alpha1/departments/{ME['name']}"
    attempt(
        "Kubernetes",
        "people: own Department",
        lambda: kubernetes("PATCH", department, {"spec": {"quota": {"pods": 500}}}, token=people),
    )


def identity() -> None:
    attempt("Keycloak", "own client's token", lambda: departments_in(token_of(ME["client"])), control=True)
    for client in (OTHER["client"], "plaza-ingestion", "plaza-supervisor"):
        attempt("Keycloak", f"token of {client}", lambda client=client: token_of(client))
    attempt("Keycloak", "own token for the other department", speaks_for_the_other)
    attempt(
        "Keycloak",
        "own token by a person's password",
        lambda: token_of(ME["client"], grant_type="password", username="x", password="y"),
    )
    for path in ("/users", "/clients", "/organizations"):
        attempt("Keycloak", f"administration: {path[1:]}", lambda path=path: administers(path))
    attempt("Keycloak", "a client of one's own", registers_a_client)


def services() -> None:
    own, other = f"departments/{ME['name']}", f"departments/{OTHER['name']}"
    soon = Duration(seconds=0)
    attempt(
        "ingestion",
        "own work: lease",
        lambda: worker_call("LeaseWork", worker_pb2.LeaseWorkRequest(department=own, wait=soon)),
        control=True,
    )
    attempt(
        "ingestion",
        "own runs: list",
        lambda: ingestion_call("ListRuns", pb.ListRunsRequest(parent=own)),
        control=True,
    )
    attempt(
        "ingestion",
        "the other's work: lease",
        lambda: worker_call("LeaseWork", worker_pb2.LeaseWorkRequest(department=other, wait=soon)),
    )
    attempt(
        "ingestion",
        "who waits",
        lambda: worker_call("ListWaitingDepartments", worker_pb2.ListWaitingDepartmentsRequest()),
    )
    attempt(
        "ingestion",
        "the other's runs: list",
        lambda: ingestion_call("ListRuns", pb.ListRunsRequest(parent=other)),
    )
    attempt(
        "ingestion", "the other's run", lambda: ingestion_call("GetRun", pb.GetRunRequest(name=FACTS["run"]))
    )
    attempt(
        "ingestion",
        "the other's run: cancel",
        lambda: ingestion_call("CancelRun", pb.CancelRunRequest(name=FACTS["run"])),
    )
    attempt(
        "ingestion",
        "the other's upload: infer",
        lambda: ingestion_call("InferContract", pb.InferContractRequest(upload=FACTS["upload"])),
    )
    attempt(
        "ingestion",
        "the other's sources: list",
        lambda: call(
            "ingestion",
            lambda channel: sources_pb2_grpc.SourceServiceStub(channel).ListSources,
            sources_pb2.ListSourcesRequest(parent=other),
        ),
    )
    attempt(
        "network",
        "catalogue by gRPC: list",
        lambda: _no_way("catalogue", catalogue_pb2.ListDepartmentsRequest()),
    )


def _no_way(service: str, request: Any) -> str:
    """A service that workers have no business with does not even answer."""
    return call(
        service, lambda channel: catalogue_pb2_grpc.CatalogueServiceStub(channel).ListDepartments, request,
        grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE,
    )  # fmt: skip


if __name__ == "__main__":
    for group in (network, postgresql, storage, api, identity, services):
        if group.__name__ in sys.argv[1:]:
            group()

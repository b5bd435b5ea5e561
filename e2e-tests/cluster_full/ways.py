"""The ways by which `attempts.py` tries, each with what counts as refused there; anything else that fails is a fault of
the attempt. Beside them lie `sigv4.py` and what the test knows, `facts.json`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import httpx
import psycopg
from plaza.ingestion.v1 import ingestion_pb2_grpc, worker_pb2_grpc
from plaza_kit.identity import ServiceTokens
from plaza_kit.rpc.client import Peers
from plaza_kit.settings import TlsSettings
from sigv4 import signed

FACTS: dict[str, Any] = json.loads((Path(__file__).parent / "facts.json").read_text())
ME, OTHER = FACTS["me"], FACTS["other"]
ENV = os.environ
SECONDS = float(FACTS["seconds"])
"""Who has not answered then does not answer."""
DENIED = 403
NOBODY = 401


class Refused(Exception):
    """It was tried, and somebody said no; says how."""


def answered(response: httpx.Response, *refusals: int) -> httpx.Response:
    """Raises Refused for the codes that are refusals here."""
    if response.status_code in refusals:
        raise Refused(f"{response.status_code} {_said(response.text)}")
    response.raise_for_status()
    return response


def _said(text: str) -> str:
    """The sentence or the word in an answer that people would read."""
    found = re.search(
        r'"(?:message|error_description|error)":\s*"((?:[^"\\]|\\.)*)"|<Code>(.*?)</Code>', text
    )
    return (found[1] or found[2]) if found else text[:200]


# Network


def connects(host: str, port: int) -> str:
    """A policy drops packets: nobody answers."""
    try:
        with socket.create_connection((host, port), timeout=SECONDS):
            return "connected"
    except TimeoutError as error:
        raise Refused(f"no answer in {SECONDS:.0f} s") from error


# PostgreSQL


def sql(statement: str, *, role: str = ME["role"], database: str = "exchange", rows: bool = True) -> str:
    """With the department's own password, whoever it says it is."""
    where = FACTS["postgres"]
    try:
        with psycopg.connect(
            host=where, port=5432, user=role, password=FACTS["database_password"], dbname=database,
            connect_timeout=int(SECONDS), autocommit=True,
        ) as connection:  # fmt: skip
            found = connection.execute(statement)
            return f"answered {found.fetchall()}" if rows and found.description else "done"
    except psycopg.errors.InsufficientPrivilege as error:
        raise Refused(str(error)) from error
    except psycopg.OperationalError as error:
        if "FATAL" in str(error) or isinstance(error, psycopg.errors.ConnectionTimeout):
            raise Refused(str(error)) from error
        raise


# S3


def s3(method: str, path: str, body: bytes = b"", **query: str) -> str:
    """With the worker's own keys."""
    address, headers = signed(
        method, ENV["PLAZA_S3_ENDPOINT"].rstrip("/") + path, query, body,
        access=ENV["PLAZA_S3_ACCESS_KEY"], secret=ENV["PLAZA_S3_SECRET_KEY"], region=ENV["PLAZA_S3_REGION"],
        at=datetime.now(UTC),
    )  # fmt: skip
    with httpx.Client(trust_env=False, timeout=SECONDS) as http:
        answer = answered(http.request(method, address, content=body, headers=headers), DENIED)
        return f"{answer.status_code} {answer.text[:60]}"


# Kubernetes


def kubernetes(method: str, path: str, body: Any = None, *, token: str = "worker") -> str:
    """With a token of the department's own ServiceAccount, if somebody had brought one; `token` empty: with none."""
    headers = {"authorization": f"Bearer {FACTS['tokens'][token]}"} if token else {}
    if method == "PATCH":
        headers["content-type"] = "application/merge-patch+json"
    with httpx.Client(trust_env=False, timeout=SECONDS, verify=False) as http:
        try:
            answer = http.request(method, f"{FACTS['api']}{path}", headers=headers, json=body)
        except httpx.ConnectTimeout as error:
            raise Refused(f"no answer in {SECONDS:.0f} s") from error
        answered(answer, DENIED, *(() if token else (NOBODY,)))
        return f"{answer.status_code}"


def token_file() -> str:
    """What every pod gets that does not say otherwise."""
    place = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
    if not place.exists():
        raise Refused("no token in the pod")
    return place.read_text()


# Keycloak


def keycloak(method: str, path: str, *refusals: int, **more: Any) -> httpx.Response:
    """By the way that the worker goes; the name stays the issuer's."""
    issuer = urlsplit(ENV["PLAZA_ISSUER"])
    base = f"{issuer.scheme}://{ENV.get('PLAZA_ISSUER_CONNECT') or issuer.netloc}"
    headers = {"host": issuer.netloc, **more.pop("headers", {})}
    with httpx.Client(trust_env=False, timeout=10) as http:
        return answered(http.request(method, base + path, headers=headers, **more), *refusals)


def realm() -> str:
    return urlsplit(ENV["PLAZA_ISSUER"]).path


def token_of(client: str, **more: str) -> str:
    """By client credentials, with the worker's own secret."""
    form = {
        "grant_type": "client_credentials",
        "client_id": client,
        "client_secret": ENV["PLAZA_CLIENT_SECRET"],
        **more,
    }
    answer = keycloak("POST", f"{realm()}/protocol/openid-connect/token", 400, 401, 403, data=form)
    return str(answer.json()["access_token"])


def departments_in(token: str) -> list[str]:
    """The departments that a token speaks for."""
    body = token.split(".")[1]
    return list(json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))).get("organization", []))


def speaks_for_the_other() -> str:
    own = departments_in(token_of(ME["client"], scope=f"openid organization:{OTHER['name']}"))
    if OTHER["name"] not in own:
        raise Refused(f"the token speaks for {own} alone")
    return str(own)


def administers(path: str) -> str:
    admin = f"/admin{realm()}{path}"
    return str(keycloak("GET", admin, DENIED, headers={"authorization": f"Bearer {token_of(ME['client'])}"}))


def registers_a_client() -> str:
    headers = {"authorization": f"Bearer {token_of(ME['client'])}"}
    answer = keycloak(
        "POST", f"{realm()}/clients-registrations/default", DENIED, headers=headers, json={"clientId": "x"}
    )
    return str(answer)


# Plaza's services


def call(
    service: str, method: Callable[[grpc.aio.Channel], Callable[..., Any]], request: Any, *others: int
) -> str:
    """One gRPC call with the worker's own token; refused is PERMISSION_DENIED, and what else the attempt names."""

    async def run() -> str:
        tokens = ServiceTokens(
            ENV["PLAZA_ISSUER"], ENV["PLAZA_CLIENT_ID"], ENV["PLAZA_CLIENT_SECRET"],
            connect_to=ENV.get("PLAZA_ISSUER_CONNECT", ""),
        )  # fmt: skip
        peers = Peers({service: FACTS["addresses"][service]}, TlsSettings().tls())
        try:
            metadata = (("authorization", f"Bearer {await tokens.token()}"),)
            answer = await method(peers.channel(service))(request, metadata=metadata, timeout=SECONDS)
            return f"answered {str(answer)[:60]!r}"
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.PERMISSION_DENIED, *others):
                raise Refused(f"{error.code().name} {error.details()}") from error
            raise
        finally:
            await peers.close()
            await tokens.aclose()

    return asyncio.run(run())


def worker_call(name: str, request: Any) -> str:
    return call(
        "ingestion", lambda channel: getattr(worker_pb2_grpc.WorkerServiceStub(channel), name), request
    )


def ingestion_call(name: str, request: Any) -> str:
    return call(
        "ingestion", lambda channel: getattr(ingestion_pb2_grpc.IngestionServiceStub(channel), name), request
    )

"""REST made from the protos, beside the same routes written by hand (FastAPI, pydantic) in front of the same gRPC
service, in turns: a small GET and a list of 100. Both pass the caller's token on; both have one process."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import subprocess
import sys
import time

import httpx
from story import Suite, free_port

from bench.http_load import Rate, load

CONNECTIONS = 16
SECONDS = 1.5
ROUNDS = 7
"""Many short ones in turns: what else the machine does then hits both."""
LISTED = 100
ROUTES = {"small GET": "/api/v1/departments/ecology", "list of 100": f"/api/v1/departments?pageSize={LISTED}"}

BY_HAND = """
import sys
from contextlib import asynccontextmanager
from typing import Annotated
import grpc, uvicorn
from fastapi import FastAPI, Header, HTTPException, Query
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from plaza.catalogue.v1 import catalogue_pb2 as pb, catalogue_pb2_grpc

class Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

class Department(Model):
    name: str
    display_name: str
    display_name_en: str
    provider_code: str
    dataset_count: int
    etag: str
    state: str
    metadata_version: int
    create_time: str
    update_time: str

class Departments(Model):
    departments: list[Department]
    next_page_token: str

def shown(found):
    return Department(
        name=found.name, display_name=found.display_name, display_name_en=found.display_name_en,
        provider_code=found.provider_code, dataset_count=found.dataset_count, etag=found.etag,
        state=pb.DepartmentState.Name(found.state), metadata_version=found.metadata_version,
        create_time=found.create_time.ToJsonString(), update_time=found.update_time.ToJsonString(),
    )

@asynccontextmanager
async def lifespan(app):
    async with grpc.aio.insecure_channel(sys.argv[2]) as channel:
        app.state.stub = catalogue_pb2_grpc.CatalogueServiceStub(channel)
        yield

app = FastAPI(lifespan=lifespan)
Token = Annotated[str, Header()]

async def call(method, request, token):
    try:
        return await method(request, metadata=(("authorization", token),), timeout=10)
    except grpc.aio.AioRpcError as error:
        raise HTTPException(404 if error.code() is grpc.StatusCode.NOT_FOUND else 500, error.details())

@app.get("/api/v1/departments/{department}")
async def get(department: str, authorization: Token) -> Department:
    request = pb.GetDepartmentRequest(name=f"departments/{department}")
    return shown(await call(app.state.stub.GetDepartment, request, authorization))

@app.get("/api/v1/departments")
async def list_departments(
    authorization: Token, page_size: Annotated[int, Query(alias="pageSize", ge=0, le=1000)] = 0,
    page_token: Annotated[str, Query(alias="pageToken")] = "",
) -> Departments:
    request = pb.ListDepartmentsRequest(page_size=page_size, page_token=page_token)
    found = await call(app.state.stub.ListDepartments, request, authorization)
    return Departments(
        departments=[shown(one) for one in found.departments], next_page_token=found.next_page_token
    )

uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="critical", access_log=False)
"""


def measure(suite: Suite) -> None:
    """Print a line for each route."""
    _departments(suite)
    headers = {"authorization": f"Bearer {suite.token('ecology-officer')}"}
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", BY_HAND, str(port), _socket(suite)])
    try:
        by_hand = f"http://127.0.0.1:{port}"
        _same_answers(suite.url, by_hand, headers)
        for name, route in ROUTES.items():
            pairs = [
                (_rate(suite.url, route, headers), _rate(by_hand, route, headers)) for _ in range(ROUNDS)
            ]
            ratios = sorted(ours.a_second / theirs.a_second for ours, theirs in pairs)
            print(
                f"rest, {name} ({pairs[0][0].body / 1000:.1f} kB), median of {ROUNDS}:"
                f" from the protos {_median([ours for ours, _ in pairs])}"
                f"   by hand {_median([theirs for _, theirs in pairs])}"
                f"   {statistics.median(ratios):.2f} × ({ratios[0]:.2f}-{ratios[-1]:.2f})"
            )
    finally:
        process.terminate()
        process.wait()


def _rate(base: str, route: str, headers: dict[str, str]) -> Rate:
    return asyncio.run(load(base, itertools.repeat(route), headers, CONNECTIONS, SECONDS))


def _median(rates: list[Rate]) -> Rate:
    """By requests a second."""
    return sorted(rates, key=lambda rate: rate.a_second)[len(rates) // 2]


def _same_answers(ours: str, theirs: str, headers: dict[str, str]) -> None:
    """The two must give the same, else they are not compared. Waits for the other to be there."""
    with httpx.Client(headers=headers, trust_env=False, timeout=30) as http:
        for _ in range(600):
            try:
                http.get(theirs)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        for route in ROUTES.values():
            answers = [http.get(base + route).raise_for_status().json() for base in (ours, theirs)]
            assert answers[0] == answers[1], answers


def _departments(suite: Suite) -> None:
    headers = {"authorization": f"Bearer {suite.token('bureau-admin')}"}
    with httpx.Client(base_url=suite.api, headers=headers, trust_env=False, timeout=30) as http:
        for number in range(LISTED):
            answer = http.post(
                "/departments",
                params={"departmentId": f"bench-{number}"},
                json={
                    "displayName": f"测试单位{number}",
                    "displayNameEn": f"Bench {number}",
                    "providerCode": f"1100{number:04}",
                },
            )
            assert answer.status_code in (200, 409), answer.text


def _socket(suite: Suite) -> str:
    """Of the catalogue, as the gateway reaches it."""
    folders = [suite.home / "run" / "sockets"]
    found = next(folder / "catalogue.sock" for folder in folders if (folder / "catalogue.sock").exists())
    return f"unix:{found}"

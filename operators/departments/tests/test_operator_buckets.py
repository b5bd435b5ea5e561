"""The lifecycle rule of departments' buckets, against a gateway of answers."""

from __future__ import annotations

import hashlib
from base64 import b64encode

import httpx
import pytest
import structlog
from plaza_operator.external import lifecycle
from plaza_operator.external.buckets import Versitygw

ACCESS = "dept-ecology"
_BUCKET = "<Name>plaza-ecology</Name><Owner>dept-ecology</Owner>"
BUCKETS = f"<ListBucketsResult><Buckets>{_BUCKET}</Buckets></ListBucketsResult>"
LISTING = "<ListBucketResult><Name>plaza-ecology</Name></ListBucketResult>"


class Gateway:
    """A bucket that is as it should be, but for its lifecycle."""

    def __init__(self) -> None:
        self.rule = ""
        self.asked: list[str] = []
        self.unknown: dict[str, int] = {}
        """Status by method, where the gateway does not know lifecycles."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/list-buckets":
            return httpx.Response(200, text=BUCKETS)
        if "lifecycle" not in request.url.params:
            return httpx.Response(404 if "policy" in request.url.params else 200, text="<x/>")
        self.asked.append(request.method)
        if request.method in self.unknown:
            return httpx.Response(self.unknown[request.method], text=LISTING)
        if request.method == "GET":
            return httpx.Response(200 if self.rule else 404, text=self.rule)
        digest = hashlib.md5(request.content, usedforsecurity=False).digest()
        assert request.headers["content-md5"] == b64encode(digest).decode()
        self.rule = request.content.decode()
        return httpx.Response(200)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
async def buckets(gateway: Gateway) -> Versitygw:
    made = Versitygw("http://s3:7070", "", "us-east-1", "root", "secret")
    made._http = httpx.AsyncClient(transport=httpx.MockTransport(gateway))
    return made


async def test_the_rule_is_set_once_and_comes_back(gateway: Gateway, buckets: Versitygw) -> None:
    said = ["lifecycle rule of the bucket plaza-ecology set"]
    assert await buckets.ensure("plaza-ecology", ACCESS, "s") == said
    assert await buckets.ensure("plaza-ecology", ACCESS, "s") == []
    assert gateway.asked == ["GET", "PUT", "GET"]
    for changed in (
        gateway.rule.replace("Enabled", "Disabled"),
        gateway.rule.replace(f">{lifecycle.DAYS}<", ">99<"),
        gateway.rule.replace("<Prefix></Prefix>", "<Prefix>staging/</Prefix>"),
        gateway.rule.replace("</Rule>", "<Expiration><Days>1</Days></Expiration></Rule>"),
        gateway.rule.replace("</LifecycleConfiguration>", "<Rule/></LifecycleConfiguration>"),
    ):
        gateway.rule = changed
        assert await buckets.ensure("plaza-ecology", ACCESS, "s") == said, changed
        assert gateway.rule == lifecycle.WANTED


@pytest.mark.parametrize("unknown", [{"GET": 501}, {"GET": 200}, {"PUT": 501}])
async def test_a_storage_that_knows_no_rules_says_so_once(
    gateway: Gateway, buckets: Versitygw, unknown: dict[str, int]
) -> None:
    gateway.unknown = unknown
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            assert await buckets.ensure("plaza-ecology", ACCESS, "s") == []
    assert [one["log_level"] for one in logs] == ["warning"]
    assert gateway.asked == ["GET", "PUT"][: len(gateway.asked)]

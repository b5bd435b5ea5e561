"""Catalogue and security, asked in the service's own name."""

from __future__ import annotations

from typing import Final

from plaza.catalogue.v1 import catalogue_pb2, catalogue_pb2_grpc
from plaza.security.v1 import security_pb2, security_pb2_grpc
from plaza_kit.grade_words import city_level_word, sharing_class_word
from plaza_kit.identity import ServiceTokens
from plaza_kit.names import DatasetName
from plaza_kit.rpc.client import Peers, as_service

from plaza_quality.storage.versions import Grading
from plaza_quality.usecases.ports import Registered

_TIMEOUT: Final = 10.0


class CataloguePeer:
    """`usecases.ports.Catalogue` over gRPC."""

    def __init__(self, peers: Peers, tokens: ServiceTokens) -> None:
        self._peers = peers
        self._tokens = tokens

    async def dataset(self, name: DatasetName) -> Registered:
        stub = catalogue_pb2_grpc.CatalogueServiceStub(self._peers.channel("catalogue"))
        request = catalogue_pb2.GetDatasetRequest(name=str(name))
        found = await stub.GetDataset(request, metadata=await as_service(self._tokens), timeout=_TIMEOUT)
        return registered(found)


class SecurityPeer:
    """`usecases.ports.Granting` over gRPC."""

    def __init__(self, peers: Peers, tokens: ServiceTokens) -> None:
        self._peers = peers
        self._tokens = tokens

    async def assessing(self, name: DatasetName, version: int) -> str:
        stub = security_pb2_grpc.GrantServiceStub(self._peers.channel("security"))
        request = security_pb2.IssueReadGrantRequest(
            dataset=str(name), table="rows", version=version, audience="quality", purpose="assess"
        )
        answer = await stub.IssueReadGrant(request, metadata=await as_service(self._tokens), timeout=_TIMEOUT)
        return answer.grant


def registered(dataset: catalogue_pb2.Dataset) -> Registered:
    """The part of a directory item that matters here, grades in the words of the policies."""
    sharing = getattr(dataset.sharing, "class")
    return Registered(
        contract_version=dataset.contract_version,
        rules=tuple(dataset.contract.rules),
        grading=Grading(
            city_level=city_level_word(dataset.city_level),
            sharing_class=sharing_class_word(sharing),
        ),
    )

"""Catalogue and security, asked in the service's own name unless said otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import grpc
from plaza.catalogue.v1 import catalogue_pb2, catalogue_pb2_grpc, code_lists_pb2, code_lists_pb2_grpc
from plaza.security.v1 import security_pb2, security_pb2_grpc
from plaza_kit.grade_words import city_level_word, sharing_class_word
from plaza_kit.identity import ServiceTokens
from plaza_kit.names import DatasetName
from plaza_kit.rpc.client import Peers, as_service, on_behalf

from plaza_quality.storage.versions import Grading
from plaza_quality.usecases.ports import ListedCode, Registered

_TIMEOUT: Final = 10.0
_PAGE: Final = 1000
_CYCLES: Final = {
    catalogue_pb2.UPDATE_CYCLE_REAL_TIME: timedelta(minutes=5),
    catalogue_pb2.UPDATE_CYCLE_HOURLY: timedelta(hours=1),
    catalogue_pb2.UPDATE_CYCLE_DAILY: timedelta(days=1),
    catalogue_pb2.UPDATE_CYCLE_WEEKLY: timedelta(days=7),
    catalogue_pb2.UPDATE_CYCLE_MONTHLY: timedelta(days=31),
    catalogue_pb2.UPDATE_CYCLE_QUARTERLY: timedelta(days=92),
    catalogue_pb2.UPDATE_CYCLE_YEARLY: timedelta(days=366),
}
"""The longest that such a cycle takes; irregular data promise nothing."""


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

    async def grading(self, name: DatasetName) -> Grading | None:
        stub = catalogue_pb2_grpc.CatalogueServiceStub(self._peers.channel("catalogue"))
        request = catalogue_pb2.GetDatasetRequest(name=str(name))
        try:
            found = await stub.GetDataset(request, metadata=await as_service(self._tokens), timeout=_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise
        return registered(found).grading

    async def codes(self, code_list: str) -> tuple[str, Sequence[ListedCode]] | None:
        stub = code_lists_pb2_grpc.CodeListServiceStub(self._peers.channel("catalogue"))
        request = code_lists_pb2.ListCodesRequest(parent=code_list, page_size=_PAGE)
        codes: list[ListedCode] = []
        while True:
            try:
                page = await stub.ListCodes(
                    request, metadata=await as_service(self._tokens), timeout=_TIMEOUT
                )
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.NOT_FOUND and not codes:
                    return None
                raise
            codes += (ListedCode(each.code, each.valid_from, each.valid_to, each.name) for each in page.codes)
            if not page.next_page_token:
                return page.version, codes
            request = code_lists_pb2.ListCodesRequest(
                parent=page.version, page_size=_PAGE, page_token=page.next_page_token
            )

    async def names(self, department: str) -> dict[str, tuple[str, str]]:
        stub = catalogue_pb2_grpc.CatalogueServiceStub(self._peers.channel("catalogue"))
        found: dict[str, tuple[str, str]] = {}
        token = ""
        while True:
            datasets = await stub.ListDatasets(
                catalogue_pb2.ListDatasetsRequest(
                    parent=f"departments/{department}", page_size=_PAGE, page_token=token
                ),
                metadata=await as_service(self._tokens),
                timeout=_TIMEOUT,
            )
            found |= {one.name: (one.display_name, one.display_name_en) for one in datasets.datasets}
            if not (token := datasets.next_page_token):
                break
        while True:
            departments = await stub.ListDepartments(
                catalogue_pb2.ListDepartmentsRequest(page_size=_PAGE, page_token=token, show_archived=True),
                metadata=await as_service(self._tokens),
                timeout=_TIMEOUT,
            )
            found |= {one.name: (one.display_name, one.display_name_en) for one in departments.departments}
            if not (token := departments.next_page_token):
                return found


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

    async def own(self, name: DatasetName, version: int) -> str:
        stub = security_pb2_grpc.GrantServiceStub(self._peers.channel("security"))
        request = security_pb2.IssueReadGrantRequest(
            dataset=str(name), table="rows", version=version, audience="quality", purpose="own"
        )
        return str((await stub.IssueReadGrant(request, metadata=on_behalf(), timeout=_TIMEOUT)).grant)


def registered(dataset: catalogue_pb2.Dataset) -> Registered:
    """The part of a directory item that matters here, grades in the words of the policies."""
    sharing = getattr(dataset.sharing, "class")
    cycle = _CYCLES.get(dataset.update_cycle)
    return Registered(
        contract_version=dataset.contract_version,
        contract=dataset.contract,
        grading=Grading(
            city_level=city_level_word(dataset.city_level),
            sharing_class=sharing_class_word(sharing),
        ),
        cycle=cycle,
        code_lists={each.name: each.code_list for each in dataset.contract.fields if each.code_list},
    )

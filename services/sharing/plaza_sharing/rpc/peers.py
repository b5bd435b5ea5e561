"""The services that sharing asks."""

from __future__ import annotations

from typing import Final

import grpc
from plaza.catalogue.v1 import catalogue_pb2, catalogue_pb2_grpc
from plaza.quality.v1 import gates_pb2, gates_pb2_grpc
from plaza.security.v1 import security_pb2, security_pb2_grpc
from plaza_kit.errors import Unavailable
from plaza_kit.grade_words import city_level_word, sharing_class_word
from plaza_kit.identity import ServiceTokens
from plaza_kit.names import DatasetName
from plaza_kit.rpc.client import Peers, as_service, on_behalf

from plaza_sharing.domain.gates import Gate, Verdict
from plaza_sharing.domain.sharing import Dataset
from plaza_sharing.usecases.ports import ReadRight

_TIMEOUT: Final = 10.0
_AWAY: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


_VERDICTS: Final = {
    gates_pb2.GATE_STATE_PASSED: Verdict.PASSED,
    gates_pb2.GATE_STATE_STOPPED: Verdict.STOPPED,
}


class QualityAway(Unavailable):
    """Quality did not answer."""


class SecurityAway(Unavailable):
    """Security did not answer."""


class CataloguePeer:
    """`plaza.catalogue.v1.CatalogueService`."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def dataset(self, name: DatasetName) -> Dataset:
        """On behalf of the caller."""
        stub = catalogue_pb2_grpc.CatalogueServiceStub(self._peers.channel("catalogue"))
        request = catalogue_pb2.GetDatasetRequest(name=str(name))
        found = await stub.GetDataset(request, metadata=on_behalf(), timeout=_TIMEOUT)
        return Dataset(
            name,
            city_level=city_level_word(found.city_level),
            sharing_class=sharing_class_word(getattr(found.sharing, "class")),
            guarded=any(rule.stops_sharing for rule in found.contract.rules),
        )


class QualityPeer:
    """`plaza.quality.v1.GateService`, asked in this service's own name: a reader may read rows whose assessment is
    not theirs to see."""

    def __init__(self, peers: Peers, tokens: ServiceTokens) -> None:
        self._peers = peers
        self._tokens = tokens

    async def gate(self, name: DatasetName, version: int) -> Gate:
        """Raises QualityAway."""
        stub = gates_pb2_grpc.GateServiceStub(self._peers.channel("quality"))
        request = gates_pb2.GetGateRequest(name=f"{name}/gate", version=version)
        try:
            answer = await stub.GetGate(request, metadata=await as_service(self._tokens), timeout=_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _AWAY:
                raise
            raise QualityAway(
                f"quality did not answer, and no version of {name} is shared before its rules are met",
                remedy="ask again in a few seconds",
            ) from error
        found = answer.sharing
        # A verdict that this service does not know lets nothing through.
        verdict = _VERDICTS.get(found.state, Verdict.CHECKING)
        rules = tuple((rule.id, rule.title) for rule in found.stopped_by)
        return Gate(verdict, rules, found.last_good_version)


class SecurityPeer:
    """`plaza.security.v1.GrantService`."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def read_grant(self, right: ReadRight) -> str:
        """On behalf of the caller. Raises SecurityAway."""
        stub = security_pb2_grpc.GrantServiceStub(self._peers.channel("security"))
        request = security_pb2.IssueReadGrantRequest(
            dataset=str(right.dataset),
            table="rows",
            version=right.version,
            columns=right.columns,
            audience="sharing",
            purpose=right.purpose,
            agreement=right.agreement,
            reader=right.reader,
        )
        try:
            answer = await stub.IssueReadGrant(request, metadata=on_behalf(), timeout=_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _AWAY:
                raise
            raise SecurityAway(
                "security did not answer, and nothing is read without its grant",
                remedy="ask again in a few seconds",
            ) from error
        return str(answer.grant)

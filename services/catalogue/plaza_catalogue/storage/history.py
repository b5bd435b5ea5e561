"""Tables `metadata_versions` and `contracts`, read: what a dataset said before."""

from __future__ import annotations

from google.protobuf.json_format import ParseDict
from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza.common.v1 import contract_pb2
from plaza_kit.db import Reader
from plaza_kit.names import DatasetName

from plaza_catalogue.storage import rows

_VERSION = (
    "SELECT m.*, c.contract FROM metadata_versions m"
    " JOIN contracts c ON c.department = m.department AND c.dataset = m.dataset"
    " AND c.version = m.contract_version"
    " WHERE m.department = :department AND m.dataset = :dataset AND m.version = :version"
)
_CONTRACTS = (
    "SELECT c.department, c.dataset, c.version, c.sha256, c.create_time,"
    " c.version = d.contract_version AS in_force"
)
_OF = (
    " FROM contracts c JOIN datasets d ON d.department = c.department AND d.dataset = c.dataset"
    " WHERE c.department = :department AND c.dataset = :dataset"
)


async def metadata_version(reader: Reader, name: DatasetName, version: int) -> pb.MetadataVersion | None:
    """One version of the metadata with its whole content."""
    found = await reader.rows(
        _VERSION, {"department": name.department, "dataset": name.dataset, "version": version}
    )
    if not found:
        return None
    [row] = found
    made = rows.metadata_version_of(row)
    ParseDict(row["metadata"], made.content, ignore_unknown_fields=True)
    ParseDict(row["contract"], made.content.contract, ignore_unknown_fields=True)
    made.content.name = str(name)
    made.content.contract_version = row["contract_version"]
    made.content.metadata_version = row["version"]
    return made


async def contract(reader: Reader, name: DatasetName, version: int) -> pb.ContractVersion | None:
    """One contract, whole."""
    found = await reader.rows(
        f"{_CONTRACTS}, c.contract{_OF} AND c.version = :version",
        {"department": name.department, "dataset": name.dataset, "version": version},
    )
    if not found:
        return None
    made = _contract_of(found[0])
    ParseDict(found[0]["contract"], made.contract, ignore_unknown_fields=True)
    return made


async def contract_of_data(reader: Reader, name: DatasetName) -> tuple[int, contract_pb2.Contract] | None:
    """The newest committed version of the data, and the contract under which it was loaded: what the table looks
    like. None before the first load."""
    found = await reader.rows(
        "SELECT v.version, c.contract FROM versions v"
        " JOIN contracts c ON c.department = v.department AND c.dataset = v.dataset"
        " AND c.version = v.contract_version"
        " WHERE v.department = :department AND v.dataset = :dataset AND v.commit_time IS NOT NULL"
        " ORDER BY v.version DESC LIMIT 1",
        {"department": name.department, "dataset": name.dataset},
    )
    if not found:
        return None
    [row] = found
    return row["version"], ParseDict(row["contract"], contract_pb2.Contract(), ignore_unknown_fields=True)


async def contracts(reader: Reader, name: DatasetName, before: int, limit: int) -> list[pb.ContractVersion]:
    """Newest first, those with a smaller number than `before`, without their content."""
    found = await reader.rows(
        f"{_CONTRACTS}{_OF} AND c.version < :before ORDER BY c.version DESC LIMIT :limit",
        {"department": name.department, "dataset": name.dataset, "before": before, "limit": limit},
    )
    return [_contract_of(row) for row in found]


def _contract_of(row: rows.Row) -> pb.ContractVersion:
    state = pb.ContractVersion.STATE_IN_FORCE if row["in_force"] else pb.ContractVersion.STATE_SUPERSEDED
    return pb.ContractVersion(
        name=f"{rows.name_of(row)}/contracts/{row['version']}",
        version=row["version"],
        sha256=row["sha256"],
        create_time=rows.moment(row["create_time"]),
        state=state,
    )

"""The desk at the services themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

import grpc
from plaza.catalogue.v1 import catalogue_pb2 as cat
from plaza.catalogue.v1.catalogue_pb2_grpc import CatalogueServiceStub
from plaza.ingestion.v1 import ingestion_pb2 as ing
from plaza.ingestion.v1.ingestion_pb2_grpc import IngestionServiceStub
from plaza.opendata.v1 import opendata_pb2 as opn
from plaza.opendata.v1.opendata_pb2_grpc import ReleaseServiceStub
from plaza.security.v1 import security_pb2 as sec
from plaza.security.v1.security_pb2_grpc import CallerServiceStub
from plaza_kit.rpc.client import Peers

from plaza_gateway.console.calling import Carried, carried, every
from plaza_gateway.console.calling import answer as _answer
from plaza_gateway.console.contracts_over_grpc import ContractsOverGrpc
from plaza_gateway.console.desk import Load, Which
from plaza_gateway.console.quality_over_grpc import QualityOverGrpc
from plaza_gateway.console.sources_over_grpc import SourcesOverGrpc
from plaza_gateway.console.standards_over_grpc import StandardsOverGrpc
from plaza_gateway.streams.file_bodies import CHUNK
from plaza_gateway.streams.sending import answer_to, file_messages
from plaza_gateway.transcode.problems import Problem

UPLOAD_SECONDS = 3600.0
WATCH_SECONDS = 280.0
"""An access token lives five minutes; the browser opens the stream again."""
RUNS = 50
"""Runs that a page looks back over."""


class OverGrpc:
    """A `Desk` at the services themselves."""

    def __init__(self, peers: Peers, token: str) -> None:
        self._token = token
        self._security = CallerServiceStub(peers.channel("security"))
        self._catalogue = CatalogueServiceStub(peers.channel("catalogue"))
        self._ingestion = IngestionServiceStub(peers.channel("ingestion"))
        self._releases = ReleaseServiceStub(peers.channel("open-data"))
        self.contracts = ContractsOverGrpc(peers, token)
        self.quality = QualityOverGrpc(peers, token)
        self.sources = SourcesOverGrpc(peers, token)
        self.standards = StandardsOverGrpc(peers, token)

    async def caller(self) -> sec.Caller:
        """Who the services say it is."""
        return await _answer(self._security.GetCaller(sec.GetCallerRequest(), **self._carried))

    async def department(self, name: str) -> cat.Department:
        """Its names."""
        return await _answer(
            self._catalogue.GetDepartment(cat.GetDepartmentRequest(name=name), **self._carried)
        )

    async def datasets(self, department: str) -> list[cat.Dataset]:
        """All, by id."""
        request = cat.ListDatasetsRequest(parent=department, page_size=1000)
        return await every(self._catalogue.ListDatasets, request, lambda page: page.datasets, self._carried)

    async def dataset(self, name: str) -> cat.Dataset:
        """As it is now."""
        return await _answer(self._catalogue.GetDataset(cat.GetDatasetRequest(name=name), **self._carried))

    async def register(
        self, department: str, dataset_id: str, dataset: cat.Dataset, request_id: str
    ) -> cat.Dataset:
        """Puts it into the directory."""
        request = cat.CreateDatasetRequest(
            parent=department, dataset_id=dataset_id, dataset=dataset, request_id=request_id
        )
        return await _answer(self._catalogue.CreateDataset(request, **self._carried))

    async def update(self, dataset: cat.Dataset, fields: tuple[str, ...]) -> cat.Dataset:
        """Changes directory fields, if the dataset still has the etag that is given."""
        request = cat.UpdateDatasetRequest(dataset=dataset)
        request.update_mask.paths.extend(fields)
        return await _answer(self._catalogue.UpdateDataset(request, **self._carried))

    async def history(self, dataset: str) -> list[cat.MetadataVersion]:
        """The newest versions of the metadata, newest first."""
        request = cat.ListMetadataVersionsRequest(parent=dataset, page_size=RUNS)
        page: cat.ListMetadataVersionsResponse = await _answer(
            self._catalogue.ListMetadataVersions(request, **self._carried)
        )
        return list(page.metadata_versions)

    async def differences(self, dataset: str, older: int, newer: int) -> cat.DiffMetadataVersionsResponse:
        """Between two versions of the metadata; `older` 0: the one before."""
        request = cat.DiffMetadataVersionsRequest(name=dataset, from_version=older, to_version=newer)
        return await _answer(self._catalogue.DiffMetadataVersions(request, **self._carried))

    async def restore(self, version: str, etag: str) -> cat.Dataset:
        """Brings the directory fields of an old version back."""
        request = cat.RestoreMetadataVersionRequest(name=version, etag=etag)
        return await _answer(self._catalogue.RestoreMetadataVersion(request, **self._carried))

    async def versions(self, dataset: str) -> list[cat.Version]:
        """The newest, newest first."""
        request = cat.ListVersionsRequest(parent=dataset, page_size=RUNS)
        page: cat.ListVersionsResponse = await _answer(self._catalogue.ListVersions(request, **self._carried))
        return list(page.versions)

    async def runs(self, department: str, dataset: str = "") -> list[ing.Run]:
        """The newest, newest first."""
        request = ing.ListRunsRequest(parent=department, dataset=dataset, page_size=RUNS)
        page: ing.ListRunsResponse = await _answer(self._ingestion.ListRuns(request, **self._carried))
        return list(page.runs)

    async def run(self, name: str) -> ing.Run:
        """As it is now."""
        return await _answer(self._ingestion.GetRun(ing.GetRunRequest(name=name), **self._carried))

    async def watch(self, name: str) -> AsyncIterator[ing.Run]:
        """The run at each change, until it has ended."""
        call = self._ingestion.WatchRun(
            ing.WatchRunRequest(name=name), timeout=WATCH_SECONDS, metadata=self._metadata
        )
        try:
            async for run in call:
                yield run
        except grpc.aio.AioRpcError as error:
            raise Problem.of_rpc(error) from error
        finally:
            call.cancel()

    async def upload(self, department: str, file_name: str, pieces: AsyncIterator[bytes]) -> ing.Upload:
        """Passes a file on as it comes; never held here."""

        async def chunks() -> AsyncIterator[bytes]:
            async with aclosing(pieces) as rest:  # type: ignore[type-var]  # always a generator here
                async for piece in rest:
                    for start in range(0, len(piece), CHUNK):
                        yield piece[start : start + CHUNK]

        header = ing.UploadHeader(parent=department, file_name=file_name)
        call = self._ingestion.UploadFile(timeout=UPLOAD_SECONDS, metadata=self._metadata)
        messages = file_messages(ing.UploadFileRequest, header, chunks())
        upload: ing.Upload = await _answer(answer_to(call, messages))
        return upload

    async def infer(self, upload: str, entry: str = "") -> ing.Run:
        """Starts reading the file; of an archive that one, else all as one."""
        request = ing.InferContractRequest(upload=upload, entry=entry)
        return await _answer(self._ingestion.InferContract(request, **self._carried))

    async def cancel(self, run: str) -> ing.Run:
        """Ends a run, if it is not too late."""
        return await _answer(self._ingestion.CancelRun(ing.CancelRunRequest(name=run), **self._carried))

    async def ingest(self, dataset: str, load: Load, request_id: str = "") -> ing.Run:
        """Starts a load."""
        request = ing.IngestUploadRequest(
            dataset=dataset,
            upload=load.upload,
            mode=load.mode,
            entry=load.entry,
            reload_reason=load.reason,
            request_id=request_id,
        )
        return await _answer(self._ingestion.IngestUpload(request, **self._carried))

    async def held_rows(self, department: str) -> dict[str, int]:
        """How many refused rows wait for repair, by dataset; datasets without any are left out."""
        request = ing.CountHeldRowsRequest(parent=department)
        counted = await _answer(self._ingestion.CountHeldRows(request, **self._carried))
        return {each.dataset: each.rows for each in counted.datasets}

    async def quarantine(
        self, dataset: str, which: Which, size: int, token: str = ""
    ) -> ing.ListQuarantinedRowsResponse:
        """A page of refused rows."""
        request = ing.ListQuarantinedRowsRequest(
            parent=dataset,
            run=which.run,
            state=which.state,
            reason=which.reason,
            field=which.field,
            page_size=size,
            page_token=token,
        )
        return await _answer(self._ingestion.ListQuarantinedRows(request, **self._carried))

    async def export(
        self, dataset: str, which: Which, form: ing.ExportForm.ValueType
    ) -> AsyncIterator[bytes]:
        """The refused records in whatever state, byte for byte, or those that wait as a table to repair."""
        request = ing.ExportQuarantineRequest(
            parent=dataset, run=which.run, reason=which.reason, field=which.field, form=form
        )
        call = self._ingestion.ExportQuarantine(request, timeout=UPLOAD_SECONDS, metadata=self._metadata)
        try:
            async for piece in call:
                yield piece.data
        except grpc.aio.AioRpcError as error:
            raise Problem.of_rpc(error) from error
        finally:
            call.cancel()

    async def repair(self, row: str, values: dict[str, str], request_id: str) -> ing.Run:
        """Repairs one row by cells."""
        request = ing.RepairQuarantinedRowRequest(name=row, values=values, request_id=request_id)
        return await _answer(self._ingestion.RepairQuarantinedRow(request, **self._carried))

    async def replay(self, dataset: str, upload: str, request_id: str) -> ing.Run:
        """Loads a repaired table."""
        request = ing.ReplayQuarantineRequest(dataset=dataset, upload=upload, request_id=request_id)
        return await _answer(self._ingestion.ReplayQuarantine(request, **self._carried))

    async def discard(self, row: str, reason: str) -> ing.QuarantinedRow:
        """Gives a row up."""
        request = ing.DiscardQuarantinedRowRequest(name=row, reason=reason)
        return await _answer(self._ingestion.DiscardQuarantinedRow(request, **self._carried))

    async def releases(self, dataset: str) -> list[opn.Release]:
        """The newest, newest first."""
        request = opn.ListReleasesRequest(parent=dataset, page_size=RUNS)
        page: opn.ListReleasesResponse = await _answer(self._releases.ListReleases(request, **self._carried))
        return list(page.releases)

    async def release(self, dataset: str, version: int, request_id: str) -> opn.Release:
        """Asks for a version to be opened."""
        request = opn.CreateReleaseRequest(
            parent=dataset, release=opn.Release(version=version), request_id=request_id
        )
        return await _answer(self._releases.CreateRelease(request, **self._carried))

    @property
    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return self._carried["metadata"]

    @property
    def _carried(self) -> Carried:
        return carried(self._token)

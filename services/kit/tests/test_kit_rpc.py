"""The guard, without sockets: validation, anonymous methods, and what a caller learns of an error."""

from __future__ import annotations

import pytest
from google.rpc import error_details_pb2
from plaza.catalogue.v1 import catalogue_pb2
from plaza.security.v1 import security_pb2
from plaza_kit.errors import FieldViolation, NotFound
from plaza_kit.rpc.context import NoCaller, caller, set_caller
from plaza_kit.rpc.guard import InvalidRequest, is_anonymous, validate
from plaza_kit.rpc.status import code_of, internal, to_status


class NoSuchDataset(NotFound):
    """A domain word."""


def test_a_domain_error_becomes_a_rich_status() -> None:
    error = NoSuchDataset(
        "no dataset x",
        remedy="look at the list",
        facts={"dataset": "x"},
        violations=(FieldViolation("name", "is not there"),),
    )
    status = to_status(error)
    assert code_of(status).name == "NOT_FOUND"
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(bad)
    assert (info.reason, info.domain) == ("NO_SUCH_DATASET", "plaza.city")
    assert dict(info.metadata) == {"dataset": "x", "remedy": "look at the list"}
    assert bad.field_violations[0].field == "name"


def test_an_internal_error_tells_a_stranger_nothing_but_the_trace() -> None:
    info = error_details_pb2.ErrorInfo()
    assert internal("abc").details[0].Unpack(info)
    assert dict(info.metadata) == {"trace_id": "abc"}


def test_violations_name_the_field_as_the_caller_wrote_it() -> None:
    request = catalogue_pb2.CreateDatasetRequest(parent="departments/ecology", dataset_id="Air")
    request.dataset.display_name = "空气"
    field = request.dataset.contract.fields.add(name="PM2.5", type=3)
    field.name = "PM2.5"
    with pytest.raises(InvalidRequest) as caught:
        validate(request)
    assert {v.field for v in caught.value.violations} == {"dataset_id", "dataset.contract.fields[0].name"}


def test_an_update_is_judged_by_the_fields_it_names() -> None:
    request = catalogue_pb2.UpdateDatasetRequest()
    request.dataset.name = "departments/ecology/datasets/air"
    request.dataset.licence = "CC-BY-4.0"
    request.update_mask.paths.append("licence")
    validate(request)
    request.update_mask.paths.append("display_name")
    with pytest.raises(InvalidRequest, match="display_name"):
        validate(request)


def test_a_text_with_nul_is_refused_by_its_place() -> None:
    request = catalogue_pb2.SearchDatasetsRequest(query="air\x00")
    with pytest.raises(InvalidRequest, match=r"query: holds the character U\+0000"):
        validate(request)
    deep = catalogue_pb2.RenderContractRequest(title="t")
    deep.contract.fields.add(name="a", type=1, title="b\x00")
    with pytest.raises(InvalidRequest, match=r"contract\.fields\.title"):
        validate(deep)


def test_only_declared_methods_answer_without_a_caller() -> None:
    assert security_pb2.DESCRIPTOR.services_by_name["LedgerService"] is not None  # loads the options
    assert is_anonymous("/plaza.security.v1.LedgerService/GetCheckpoint")
    assert is_anonymous("/grpc.health.v1.Health/Check")
    assert not is_anonymous("/plaza.catalogue.v1.CatalogueService/GetDataset")
    assert not is_anonymous("/plaza.catalogue.v1.CatalogueService/NoSuchMethod")
    assert not is_anonymous("/no.such.Service/Method")


def test_without_a_token_there_is_no_caller() -> None:
    set_caller(None)
    with pytest.raises(NoCaller):
        caller()

"""Gates, names, states, search words, failures: without any service."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza.common.v1 import grades_pb2
from plaza.opendata.v1 import opendata_pb2 as pb
from plaza_kit.errors import InvalidArgument, Unavailable
from plaza_kit.grants import GrantRefused
from plaza_kit.names import BadName, DatasetName
from plaza_kit.search_words import phrases, query_tokens
from plaza_kit.tlog.proof import FileProof
from plaza_opendata.domain.gates import Evidence, GatesNotPassed, check
from plaza_opendata.domain.proofs import ProofNotUsable, check_proof
from plaza_opendata.domain.releases import (
    IllegalTransition,
    ReleaseName,
    State,
    check_withdrawable,
    csv_name,
    parse_open_dataset,
)
from plaza_opendata.domain.snapshot import search_entry
from plaza_opendata.storage.files import CHUNK_BYTES, FileDamaged, ReleaseStore
from plaza_opendata.usecases.failures import is_permanent, words

DATASET = "departments/ecology/datasets/air-quality"
NAME = ReleaseName(DatasetName.parse(DATASET), 3)
GOOD = Evidence(
    city_level=grades_pb2.CITY_LEVEL_PUBLIC,
    opening_allowed=True,
    licence="CC-BY-4.0",
    asked_version=0,
    version=4,
    has_rules=True,
    assessed=True,
)


def refused(**changes: Any) -> dict[str, str]:
    with pytest.raises(GatesNotPassed) as refusal:
        check(DATASET, replace(GOOD, **changes))
    failures = refusal.value.failures
    assert refusal.value.facts["gates"] == ",".join(f.gate for f in failures)
    assert [v.field for v in refusal.value.violations] == [f.gate for f in failures]
    assert all(f.reason and f.remedy for f in failures)
    return {f.gate: f.reason for f in failures}


def test_a_good_version_passes_every_gate() -> None:
    check(DATASET, GOOD)
    check(DATASET, replace(GOOD, has_rules=False, assessed=False))
    for licence in ("LicenseRef-City-Open-1.0", "GPL-2.0+", "0BSD"):
        check(DATASET, replace(GOOD, licence=licence))


@pytest.mark.parametrize(
    ("changes", "gate", "reason"),
    [
        ({"city_level": grades_pb2.CITY_LEVEL_INTERNAL}, "city-level", "graded internal, not public"),
        ({"city_level": grades_pb2.CITY_LEVEL_UNSPECIFIED}, "city-level", "not graded"),
        ({"opening_allowed": False}, "opening", "does not allow"),
        ({"licence": ""}, "licence", "no licence"),
        ({"licence": "my own"}, "licence", "'my own' is not an SPDX id"),
        ({"version": 0}, "version", "nothing was loaded"),
        ({"version": 0, "asked_version": 9}, "version", "version 9 was never committed"),
        ({"assessed": False}, "assessment", "version 4 was not assessed"),
        ({"stopped_by": ("phone", "once (一次)")}, "quality", "version 4 does not meet phone, once (一次)"),
    ],
)
def test_each_gate_refuses_alone(changes: dict[str, Any], gate: str, reason: str) -> None:
    found = refused(**changes)
    assert list(found) == [gate]
    assert reason in found[gate]


def test_all_failing_gates_are_told_at_once() -> None:
    core = grades_pb2.CITY_LEVEL_CORE
    assert list(refused(city_level=core, opening_allowed=False, licence="", assessed=False)) == [
        "city-level",
        "opening",
        "licence",
        "assessment",
    ]


def test_the_last_version_that_may_be_opened_is_named() -> None:
    with pytest.raises(GatesNotPassed) as refusal:
        check(DATASET, replace(GOOD, stopped_by=("phone",), last_good_version=3))
    assert "release version 3" in refusal.value.remedy


def test_names() -> None:
    assert ReleaseName.parse(str(NAME)) == NAME
    assert csv_name(NAME) == "air-quality-r3.csv"
    assert parse_open_dataset(f"{DATASET}/openDataset") == NAME.dataset
    for wrong in (f"{DATASET}/releases/0", f"{DATASET}/releases/1/..", DATASET, "departments/-/datasets/x"):
        with pytest.raises(BadName):
            ReleaseName.parse(wrong)
        with pytest.raises(BadName):
            parse_open_dataset(wrong)


def test_only_what_is_given_out_can_be_withdrawn() -> None:
    for state in State:
        if state in (State.PUBLISHED, State.SUPERSEDED):
            check_withdrawable(NAME, state)
        else:
            with pytest.raises(IllegalTransition, match=state.value) as refusal:
                check_withdrawable(NAME, state)
            assert refusal.value.remedy


def test_an_open_dataset_is_found_by_all_its_words_in_both_languages() -> None:
    shown = pb.OpenDataset(
        display_name="空气质量小时监测数据",
        display_name_en="Hourly Air Quality",
        department_display_name="生态环境局",
        keywords=["大气"],
    )
    shown.contract.fields.add(name="pm2_5", title="细颗粒物")
    entry = search_entry(shown)
    for query in ("空气", "小时 hourly", "环境", "大气", "颗粒", "AIR 质量"):
        assert set(query_tokens(query)) <= set(entry.tokens), query
    assert not set(query_tokens("水质")) <= set(entry.tokens)
    assert all(phrase in entry.text for phrase in phrases("细颗粒物"))
    assert entry.title == "空气质量小时监测数据"


@given(data=st.binary(max_size=200), offset=st.integers(0, 300), limit=st.integers(0, 300))
def test_pieces_equal_slicing(tmp_path_factory: Any, data: bytes, offset: int, limit: int) -> None:
    path = tmp_path_factory.mktemp("store") / "a.csv"
    path.write_bytes(data)
    pieces = ReleaseStore(str(path.parent)).pieces(path, len(data), offset, limit)
    assert b"".join(pieces) == data[offset : offset + limit if limit else None]


def test_pieces_are_small_and_a_damaged_file_is_told(tmp_path: Path) -> None:
    path, size = tmp_path / "a.csv", 3 * CHUNK_BYTES + 5
    path.write_bytes(bytes(size))
    store = ReleaseStore(str(tmp_path))
    assert [len(piece) for piece in store.pieces(path, size, 2, 0)] == [CHUNK_BYTES] * 3 + [3]
    with pytest.raises(FileDamaged, match="were recorded"):
        next(store.pieces(path, size + 1, 0, 1))
    with pytest.raises(FileDamaged, match="missing"):
        next(store.pieces(tmp_path / "b.csv", 1, 0, 1))


def test_a_file_takes_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    store = ReleaseStore(str(tmp_path))
    path = store.path(NAME, csv_name(NAME))
    assert path == tmp_path / DATASET.replace("/datasets", "") / "3" / "air-quality-r3.csv"
    with pytest.raises(ZeroDivisionError), store.new(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert list(path.parent.iterdir()) == []
    (path.parent / f".{path.name}.killed.part").touch()
    store.remove_parts(path)
    with store.new(path) as file:
        file.write(b"whole")
    assert [found.name for found in path.parent.iterdir()] == [path.name]
    first = store.keep_proof(path, "first")
    assert store.keep_proof(path, "second") == first
    for trick in ("../a.csv", "/etc/passwd", "..", "", "a/b"):
        with pytest.raises(ValueError, match="is not a file's name"):
            store.path(NAME, trick)


def test_failures() -> None:
    def peer(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
        empty = grpc.aio.Metadata()
        return grpc.aio.AioRpcError(code, empty, empty, details="no")

    assert is_permanent(InvalidArgument("x"))
    assert is_permanent(FileDamaged("x"))
    assert is_permanent(peer(grpc.StatusCode.PERMISSION_DENIED))
    for passing in (peer(grpc.StatusCode.UNAVAILABLE), Unavailable("x"), OSError(28, "full"), KeyError("x")):
        assert not is_permanent(passing)
    assert not is_permanent(GrantRefused("exp", "too late"))
    assert words(peer(grpc.StatusCode.PERMISSION_DENIED)) == "no"
    assert words(KeyError("secret")) == "an internal error; the logs name it"
    assert words(OSError(28, "No space left")) == "the file could not be written: No space left"


def test_a_proof_of_something_else_is_not_used() -> None:
    for leaf in ("", "{}", '{"data":{"sha256":"00"},"id":"e"}'):
        with pytest.raises(ProofNotUsable):
            check_proof(FileProof(leaf, 0, 1, (), "not a checkpoint"), "e", "00")
    with pytest.raises(ProofNotUsable, match="something else"):
        check_proof(FileProof('{"data":{"sha256":"11"},"id":"e"}', 0, 1, (), ""), "e", "00")

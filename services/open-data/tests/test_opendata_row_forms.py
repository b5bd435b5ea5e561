"""Rows of a release in every form, at addresses that stay; and the release described for programs."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plaza.opendata.v1 import opendata_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.errors import InvalidArgument
from plaza_kit.paging import BadPageToken
from plaza_kit.rpc.context import set_caller
from plaza_lake.ir import UnknownField
from plaza_opendata.usecases import release_rows
from plaza_opendata.usecases.portal import ReleaseWithdrawn
from plaza_opendata.usecases.release_rows import TooManyQueries
from sqlalchemy import text

City = Any
"""The fixture's class lives in conftest, which tests do not import."""
pytestmark = pytest.mark.integration
JSON, CSV, JSONL, PARQUET, ARROW = range(1, 6)
ROWS = [
    {"station": f"站{n % 3}", "hour": n, "pm2_5": None if n % 5 == 0 else n / 4, "wd": "", "calm": True}
    for n in range(30)
]
ASKED = {"filter": "pm2_5 > 1", "columns": ["hour", "pm2_5"], "order_by": "pm2_5 desc"}
EXPECTED = [[n, n / 4] for n in range(29, 4, -1) if n % 5]


async def get(city: City, release: str, form: int = JSON, **fields: Any) -> tuple[Any, bytes, Any]:
    """Header, body, trailer."""
    set_caller(None)
    request = pb.StreamReleaseRowsRequest(release=release, format=form, **fields)
    parts = [part async for part in city.portal.StreamReleaseRows(request, None)]
    kinds = [part.WhichOneof("part") for part in parts]
    assert kinds == ["header", *["chunk"] * (len(parts) - 2), "trailer"]
    body = b"".join(part.chunk for part in parts)
    assert parts[-1].trailer.body_sha256 == hashlib.sha256(body).hexdigest()
    assert all(len(part.chunk) <= release_rows.CHUNK_BYTES for part in parts)
    return parts[0].header, body, parts[-1].trailer


async def forget_parquet(city: City, release: str) -> None:
    """Makes it a release of the time before."""
    async with city.world.database.transaction(Scope.everything()) as connection:
        await connection.execute(
            text(
                "DELETE FROM release_files WHERE department = :d AND number = :n AND file_name LIKE '%.parquet'"
            ),
            {"d": city.department, "n": int(release.rpartition("/")[2])},
        )


async def test_a_query_in_every_form_and_the_same_bytes_after_a_newer_release(city: City) -> None:
    name = city.register()
    city.load(name, ROWS)
    release = (await city.publish(name)).name
    header, body, trailer = await get(city, release, CSV, **ASKED)
    assert (header.version, header.release, header.file_name) == (1, 1, "air-quality-r1.csv")
    assert body.decode() == "hour,pm2_5\r\n" + "".join(f"{n},{p:g}\r\n" for n, p in EXPECTED)
    assert trailer.rows == len(EXPECTED)
    _, page, _ = await get(city, release, **ASKED)
    assert orjson.loads(page) == {
        "version": 1,
        "columns": ["hour", "pm2_5"],
        "rows": EXPECTED,
        "nextPageToken": "",
    }
    header, body, _ = await get(city, release, PARQUET, **ASKED)
    assert header.content_type == "application/vnd.apache.parquet"
    assert [list(row.values()) for row in pq.read_table(io.BytesIO(body)).to_pylist()] == EXPECTED
    _, body, _ = await get(city, release, ARROW, **ASKED)
    assert pa.ipc.open_stream(body).read_all().column("hour").to_pylist() == [n for n, _ in EXPECTED]
    _, body, _ = await get(city, release, JSONL, **ASKED)
    assert [list(orjson.loads(line).values()) for line in body.splitlines()] == EXPECTED

    before = [(await get(city, release, form, **ASKED))[1] for form in range(1, 6)]
    city.load(name, [{"station": "新", "hour": 99, "pm2_5": 99.0}])
    newer = (await city.publish(name)).name
    assert [(await get(city, release, form, **ASKED))[1] for form in range(1, 6)] == before
    assert (await get(city, newer, **ASKED))[1] != before[0]

    # An older release, from the time before there was Parquet, still answers, and with the same bytes.
    await forget_parquet(city, release)
    assert [(await get(city, release, form, **ASKED))[1] for form in range(1, 6)] == before

    await city.withdraw(release)
    for form in range(1, 6):
        with pytest.raises(ReleaseWithdrawn):
            await get(city, release, form, **ASKED)


async def test_all_rows_are_the_published_file(city: City) -> None:
    name = city.register()
    city.load(name, ROWS)
    release = await city.publish(name)
    for form, file in zip((CSV, PARQUET), release.files, strict=True):
        _, body, trailer = await get(city, release.name, form)
        assert (trailer.body_sha256, trailer.rows) == (file.sha256, 30)
        path = city.world.store.path(release_rows.ReleaseName.parse(release.name), file.file_name)
        assert body == path.read_bytes()
    whole = (await get(city, release.name, PARQUET))[1]
    await forget_parquet(city, release.name)
    assert (await get(city, release.name, PARQUET))[1] == whole


async def test_pages_go_on_where_the_last_one_ended(city: City) -> None:
    name = city.register()
    city.load(name, ROWS)
    release = (await city.publish(name)).name
    seen: list[Any] = []
    token = ""
    while True:
        _, body, trailer = await get(
            city, release, page_size=7, page_token=token, order_by="pm2_5", columns=["hour"]
        )
        page = orjson.loads(body)
        assert trailer.rows == len(page["rows"])
        seen += page["rows"]
        token = page["nextPageToken"]
        if not token:
            break
    present = sorted((r for r in ROWS if r["pm2_5"] is not None), key=lambda r: r["pm2_5"])
    # Absent values last, in the order of the release: by its key.
    absent = sorted((r for r in ROWS if r["pm2_5"] is None), key=lambda r: (r["station"], r["hour"]))
    assert seen == [[r["hour"]] for r in (*present, *absent)]
    _, body, _ = await get(city, release, page_size=7)
    with pytest.raises(BadPageToken):
        await get(city, release, page_token=orjson.loads(body)["nextPageToken"], filter="hour > 3")
    for wrong, error in (
        ({"form": CSV, "page_token": "x"}, InvalidArgument),
        ({"columns": ["x"]}, UnknownField),
    ):
        with pytest.raises(error):
            await get(city, release, **wrong)


async def test_a_slow_reader_costs_others_nothing(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_rows, "_TABLES", 1)
    name = city.register()
    city.load(name, ROWS)
    release = (await city.publish(name)).name
    set_caller(None)
    slow = city.portal.StreamReleaseRows(
        pb.StreamReleaseRowsRequest(release=release, format=CSV, **ASKED), None
    )
    await anext(slow)
    with pytest.raises(TooManyQueries):
        await get(city, release, CSV, **ASKED)
    await get(city, release, CSV)  # a file is no query
    await get(city, release, **ASKED)
    await slow.aclose()
    await get(city, release, CSV, **ASKED)


async def test_a_release_is_described_for_programs(city: City) -> None:
    name = city.register()
    city.load(name, ROWS)
    release = await city.publish(name)
    set_caller(None)
    request = pb.GetDataPackageRequest(release=release.name)
    answer = await city.portal.GetDataPackage(request, None)
    assert answer.content_type == "application/json"
    found = orjson.loads(answer.data)
    assert (found["version"], found["licenses"]) == ("1", [{"name": "CC-BY-4.0"}])
    table, columns = found["resources"]
    for resource, file in zip((table, columns), release.files, strict=True):
        assert resource["path"] == f"files/{file.file_name}"
        assert (resource["bytes"], resource["hash"]) == (file.size_bytes, f"sha256:{file.sha256}")
        assert resource["sm3"] == file.sm3
    assert [field["type"] for field in table["schema"]["fields"]] == [
        *("string", "integer", "number", "string", "boolean")
    ]
    assert (table["mediatype"], columns["mediatype"]) == ("text/csv", "application/vnd.apache.parquet")
    await forget_parquet(city, release.name)
    older = orjson.loads((await city.portal.GetDataPackage(request, None)).data)
    assert older["resources"] == [table]
    await city.withdraw(release.name)
    with pytest.raises(ReleaseWithdrawn):
        await city.portal.GetDataPackage(request, None)

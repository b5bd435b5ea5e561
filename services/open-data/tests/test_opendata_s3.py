"""A release whose rows come from S3 and whose files go there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from plaza.opendata.v1 import opendata_pb2 as pb
from plaza_kit.objects.settings import S3Place
from plaza_kit.objects.store import ObjectDamaged
from plaza_lake.files import files_at
from plaza_lake.tables import Lake, LakeSettings
from plaza_opendata.domain.releases import ReleaseName
from plaza_opendata.storage.files import FileDamaged
from plaza_opendata.storage.files_s3 import release_store_at
from plaza_testing.s3 import Gateway

pytestmark = pytest.mark.integration

City = Any
FILE = "air-quality-r1.csv"


@pytest.fixture
def bucket(s3: Gateway) -> str:
    return f"s3://{s3.bucket()}"


@pytest.fixture
def on_s3(s3: Gateway, city: City, bucket: str, opendata_catalog: str, tmp_path: Path) -> Iterator[City]:
    place = S3Place(s3.access(), tmp_path / "machine", 1 << 26)
    settings = LakeSettings(opendata_catalog, f"{bucket}/lake", memory_limit="256MB", s3=place)
    lake, store = Lake(settings), release_store_at(f"{bucket}/releases", place)
    yield replace(city, world=replace(city.world, lake=lake, store=store))
    lake.close()
    store.close()


async def test_a_release_all_the_way(on_s3: City, s3: Gateway, bucket: str, tmp_path: Path) -> None:
    city, name = on_s3, on_s3.register()
    city.load(name, [{"station": "a", "hour": hour, "pm2_5": 1.5} for hour in range(3)])
    release = await city.publish(name)
    assert release.state == pb.RELEASE_STATE_PUBLISHED, release
    # Another machine: nothing is known there.
    elsewhere = release_store_at(f"{bucket}/releases", S3Place(s3.access(), tmp_path / "other", 1 << 26))
    city = replace(city, world=replace(city.world, store=elsewhere))
    file, pieces = await city.read(release.name, FILE)
    data = b"".join(pieces)
    assert data.startswith(b"station,hour,pm2_5")
    assert data.count(b"\r\n") == 4
    assert (file.size_bytes, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    proof, pieces = await city.read(release.name, f"{FILE}.proof.json")
    assert proof.sha256 == hashlib.sha256(b"".join(pieces)).hexdigest()
    _, pieces = await city.read(release.name, FILE, offset=8, limit=4)
    assert b"".join(pieces) == b"hour"
    rows = await city.portal.ReadReleaseRows(
        pb.ReadReleaseRowsRequest(release=release.name, filter="hour >= 1"), None
    )
    assert rows.total_size == 2
    assert not (tmp_path / "store").exists()
    elsewhere.close()


def test_two_that_build_at_once_do_not_spoil_each_others_proof(
    s3: Gateway, bucket: str, tmp_path: Path
) -> None:
    name = ReleaseName.parse("departments/d/datasets/air-quality/releases/1")
    stores = [release_store_at(bucket, S3Place(s3.access(), tmp_path / str(n), 1 << 26)) for n in range(2)]
    path = stores[0].path(name, FILE)
    kept = [store.keep_proof(path, text) for store, text in zip(stores, ("first", "second"), strict=True)]
    proof = path.with_name(path.name + ".proof.json")
    for store in stores:
        for (size, sha256), text in zip(kept, (b"first", b"second"), strict=True):
            with store.opened(proof, sha256) as opened:
                assert b"".join(store.pieces(opened, size, 0, 0)) == text
            assert store.holds(proof, size, sha256)
            assert not store.holds(proof, size + 1, sha256)
    with pytest.raises(FileDamaged, match="missing"), stores[0].opened(path, "0" * 64):
        pass
    with pytest.raises(ZeroDivisionError), stores[0].new(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    files = files_at(bucket, S3Place(s3.access(), tmp_path / "more", 1 << 26))
    assert len(list(files.listed(bucket))) == 2
    files.write(f"{bucket}/departments/d/air-quality/1/{'0' * 64}-{FILE}", b"forged")
    with pytest.raises(ObjectDamaged), stores[0].opened(path, "0" * 64):
        pass
    assert not stores[0].holds(path, 6, "0" * 64)

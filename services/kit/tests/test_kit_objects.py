"""One contract for a folder and for S3; copies of what lies on S3."""

from __future__ import annotations

import errno
import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from plaza_kit.objects.cache import Cache
from plaza_kit.objects.folder import FolderStore
from plaza_kit.objects.s3 import S3Store
from plaza_kit.objects.settings import S3Place
from plaza_kit.objects.store import CacheFull, Digest, ObjectDamaged, Store, StoreRefuses, StoreUnavailable

BIG = bytes(range(256)) * (40 << 10)
"""Ten MiB: more than one part of an upload."""


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.integration)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Store, str]]:
    """A store and the beginning of its keys."""
    if request.param == "folder":
        yield FolderStore(tmp_path / "store"), "here"
        return
    gateway = request.getfixturevalue("s3")
    user = gateway.user()
    made = S3Store(S3Place(user, tmp_path / "cache", 1 << 30))
    yield made, gateway.bucket(user)
    made.close()


class TestStore:
    def test_put_find_get_and_read(self, store: tuple[Store, str], tmp_path: Path) -> None:
        objects, home = store
        key = f"{home}/a/b/中文 1.bin"
        assert objects.find(key) is None
        assert not objects.renew(key, len(BIG))
        part = put(objects, key, BIG)
        assert not part.exists()
        found = objects.find(key)
        assert found is not None
        assert (found.key, found.size) == (key, len(BIG))
        assert objects.renew(key, len(BIG))
        assert not objects.renew(key, 1)
        target = tmp_path / "copy"
        assert objects.get(key, target) == Digest(len(BIG), hashlib.sha256(BIG).hexdigest())
        assert target.read_bytes() == BIG
        with objects.held([key]):
            assert objects.path(key).read_bytes() == BIG
            assert objects.key(objects.path(key)) == key

    def test_a_folder_is_listed_and_removed(self, store: tuple[Store, str]) -> None:
        objects, home = store
        keys = {f"{home}/a/1", f"{home}/a/deep/er/2", f"{home}/ab/3"}
        for key in keys:
            put(objects, key, b"x")
        assert {found.key for found in objects.listed(f"{home}/a")} == keys - {f"{home}/ab/3"}
        assert list(objects.listed(f"{home}/none")) == []
        objects.remove(f"{home}/a/1")
        objects.remove(f"{home}/a/1")
        objects.remove_empty(f"{home}/a")  # it is not
        assert [found.key for found in objects.listed(f"{home}/a")] == [f"{home}/a/deep/er/2"]
        objects.remove_all(f"{home}/a")
        objects.remove_all(f"{home}/a")
        assert [found.key for found in objects.listed(home)] == [f"{home}/ab/3"]

    def test_what_is_not_there_is_missing(self, store: tuple[Store, str], tmp_path: Path) -> None:
        objects, home = store
        with pytest.raises(FileNotFoundError):
            objects.get(f"{home}/none", tmp_path / "copy")

    def test_a_file_that_cannot_be_read_makes_no_object(self, store: tuple[Store, str]) -> None:
        objects, home = store
        part = objects.part(f"{home}/half")
        with pytest.raises(FileNotFoundError):
            objects.put(part, f"{home}/half")
        assert objects.find(f"{home}/half") is None


def put(objects: Store, key: str, data: bytes) -> Path:
    part = objects.part(key)
    part.write_bytes(data)
    objects.put(part, key)
    return part


@pytest.mark.integration
class TestS3:
    def test_two_departments_do_not_open_each_others(self, s3: Any, tmp_path: Path) -> None:
        ecology, traffic = s3.user(), s3.user()
        theirs = s3.bucket(ecology)
        put(S3Store(S3Place(ecology, tmp_path / "a", 1 << 20)), f"{theirs}/departments/x", b"secret")
        other = S3Store(S3Place(traffic, tmp_path / "b", 1 << 20))
        for act in (
            lambda: other.get(f"{theirs}/departments/x", tmp_path / "stolen"),
            lambda: other.find(f"{theirs}/departments/x"),
            lambda: list(other.listed(theirs)),
            lambda: put(other, f"{theirs}/departments/x", b"planted"),
            lambda: other.remove(f"{theirs}/departments/x"),
            lambda: other.remove_all(f"{theirs}/departments"),
        ):
            with pytest.raises(StoreRefuses):
                act()
        assert not (tmp_path / "stolen").exists()
        found = S3Store(S3Place(ecology, tmp_path / "a", 1 << 20)).find(f"{theirs}/departments/x")
        assert found is not None
        assert found.size == 6

    def test_wrong_keys(self, s3: Any, tmp_path: Path) -> None:
        wrong = s3.access().__class__(s3.endpoint, "us-east-1", s3.user().access_key, "wrong")
        with pytest.raises(StoreRefuses):
            S3Store(S3Place(wrong, tmp_path, 1)).find("bucket/x")

    def test_an_object_that_is_not_what_its_name_says(self, s3: Any, tmp_path: Path) -> None:
        objects, bucket = S3Store(S3Place(s3.access(), tmp_path, 1 << 20)), s3.bucket()
        key = f"{bucket}/00000-{hashlib.sha256(b'right').hexdigest()}.parquet"
        with objects.filesystem.open_output_stream(key) as stream:
            stream.write(b"wrong")
        with pytest.raises(ObjectDamaged), objects.held([key]):
            pass
        assert not objects.path(key).exists()

    def test_an_error_on_the_way_leaves_no_half(
        self, s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        objects, bucket = S3Store(S3Place(s3.access(), tmp_path, 1 << 20)), s3.bucket()
        part = objects.part(f"{bucket}/x")
        part.write_bytes(BIG)
        reads = iter([BIG[: 6 << 20]])

        class Breaks:
            def __enter__(self) -> Breaks:
                return self

            def __exit__(self, *_: object) -> None:
                pass

            def read(self, _: int) -> bytes:
                for data in reads:
                    return data
                raise OSError(errno.EIO, "the disk is ill")

        monkeypatch.setattr(Path, "open", lambda *_: Breaks())
        with pytest.raises(OSError, match="ill"):
            objects.put(part, f"{bucket}/x")
        assert objects.find(f"{bucket}/x") is None


class Source:
    """Objects that are fetched: each of so many bytes; counts."""

    def __init__(self, size: int = 100) -> None:
        self.size = size
        self.fetched: list[str] = []
        self.fails: list[BaseException] = []

    def __call__(self, key: str, target: Path) -> None:
        self.fetched.append(key)
        target.write_bytes(key.encode() * (self.size // len(key)))
        if self.fails:
            raise self.fails.pop(0)


class TestCache:
    def test_fetched_once_and_kept(self, tmp_path: Path) -> None:
        source, cache = Source(), Cache(tmp_path, 1000)
        for _ in range(2):
            with cache.held(["b/x", "b/y"], source):
                assert cache.path("b/x").read_bytes().startswith(b"b/xb/x")
            assert not cache.path("b/x").exists()
            assert not cache.path("b").exists()
        assert sorted(source.fetched) == ["b/x", "b/y"]
        other = Cache(tmp_path, 1000)
        with other.held(["b/x"], source):
            assert other.path("b/x") != cache.path("b/x")
        assert len(source.fetched) == 2

    def test_the_least_recently_used_go(self, tmp_path: Path) -> None:
        source, cache = Source(), Cache(tmp_path, 1000)
        for number in range(30):
            with cache.held([f"b/{number:02}"], source), cache.held(["b/00"], source):
                pass
        assert kept(tmp_path) <= 1000
        assert source.fetched.count("b/00") == 1
        with cache.held(["b/29", "b/01"], source):
            pass
        assert source.fetched.count("b/29") == 1
        assert source.fetched.count("b/01") == 2

    def test_what_is_in_use_stays_and_larger_than_all_is_read_too(self, tmp_path: Path) -> None:
        source, cache = Source(700), Cache(tmp_path, 1000)
        with cache.held(["b/x"], source):
            for number in range(10):
                with cache.held([f"b/{number}"], source):
                    pass
            assert len(cache.path("b/x").read_bytes()) == 699
        large = Source(5000)
        with cache.held(["b/large"], large):
            assert len(cache.path("b/large").read_bytes()) > 4000
        with cache.held(["b/z"], source):
            pass
        assert kept(tmp_path) <= 1000

    def test_many_at_once_fetch_once(self, tmp_path: Path) -> None:
        source, cache = Source(), Cache(tmp_path, 10_000)
        failed: list[BaseException] = []

        def use() -> None:
            try:
                for _ in range(20):
                    with cache.held([f"b/{n}" for n in range(5)], source):
                        assert all(len(cache.path(f"b/{n}").read_bytes()) == 99 for n in range(5))
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed
        assert sorted(source.fetched) == [f"b/{n}" for n in range(5)]

    def test_a_full_disk_first_costs_the_copies(self, tmp_path: Path) -> None:
        source, cache = Source(), Cache(tmp_path, 1000)
        with cache.held(["b/old"], source):
            pass
        source.fails = [OSError(errno.ENOSPC, "full")]
        with cache.held(["b/new"], source):
            assert cache.path("b/new").exists()
        assert kept(tmp_path) == 100  # the new one alone
        source.fails = [OSError(errno.ENOSPC, "full")] * 2
        with pytest.raises(CacheFull, match="no room"), cache.held(["b/other", "b/new"], source):
            pass
        assert not any((tmp_path / "processes").glob("*/scratch/*"))
        with cache.held(["b/other"], source):
            pass

    def test_files_of_ones_own_are_no_objects(self, tmp_path: Path) -> None:
        cache = Cache(tmp_path, 1000)
        assert cache.key(cache.scratch()) is None
        assert cache.key(tmp_path / "x") is None
        for trick in ("../x", "/etc/passwd", "b//x", ""):
            with pytest.raises(ValueError, match="not the key"):
                cache.path(trick)

    def test_a_failed_fetch_leaves_nothing(self, tmp_path: Path) -> None:
        source, cache = Source(), Cache(tmp_path, 1000)
        source.fails = [StoreUnavailable("away")]
        with pytest.raises(StoreUnavailable), cache.held(["b/x"], source):
            pass
        assert kept(tmp_path) == 0
        with cache.held(["b/x"], source):
            pass

    def test_what_a_killed_process_had_is_cleared_away(self, tmp_path: Path) -> None:
        program = (
            "import os, sys; from pathlib import Path; from plaza_kit.objects.cache import Cache\n"
            "c = Cache(Path(sys.argv[1]), 1000)\n"
            "held = c.held(['b/x'], lambda key, target: target.write_bytes(b'x' * 100)); held.__enter__()\n"
            "assert c.path('b/x').exists(); os.kill(os.getpid(), 9)"
        )
        assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == -9
        assert len(list((tmp_path / "processes").iterdir())) == 2
        cache = Cache(tmp_path, 1000)
        with cache.held(["b/x"], Source()):
            assert cache.path("b/x").read_bytes() == b"x" * 100, "its copy is good"
        assert len(list((tmp_path / "processes").iterdir())) == 2
        cache.close()
        assert not any((tmp_path / "processes").iterdir())


def kept(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "objects").glob("*/*"))

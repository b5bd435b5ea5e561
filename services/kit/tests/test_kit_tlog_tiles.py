"""Tiles: coordinates and paths as c2sp.org/tlog-tiles describes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_kit.tlog.merkle import NodeId
from plaza_kit.tlog.tiles import BadTilePath, Tile, new_tiles, parse_tile_path, tile_width

sizes = st.integers(0, 70_000)


def test_the_examples_of_the_specification() -> None:
    assert Tile(3, 1_234_067, 256).path == "tile/3/x001/x234/067"
    tiles = new_tiles(0, 70_000)
    full, partial = [t for t in tiles if t.width == 256], [t for t in tiles if t.width < 256]
    assert [sum(t.level == level for t in full) for level in range(3)] == [273, 1, 0]
    assert partial == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert new_tiles(0, 256) == [Tile(0, 0, 256), Tile(1, 0, 1)]


def test_tile_names_its_nodes() -> None:
    assert Tile(0, 2, 3).nodes() == [NodeId(0, 512), NodeId(0, 513), NodeId(0, 514)]
    assert Tile(1, 0, 2).nodes() == [NodeId(8, 0), NodeId(8, 1)]
    assert Tile(1, 1, 256).nodes()[-1] == NodeId(8, 511)


@given(sizes, sizes)
def test_growing_brings_exactly_the_tiles_that_changed(a: int, b: int) -> None:
    old, new = sorted((a, b))
    tiles = new_tiles(old, new)
    assert all(
        t.width == tile_width(t.level, t.index, new) > tile_width(t.level, t.index, old) for t in tiles
    )
    for level in range(3):
        hashes = sum(t.width for t in tiles if t.level == level)
        kept = (old >> (8 * level)) // 256 * 256
        assert hashes == ((new >> (8 * level)) - kept if new >> (8 * level) > old >> (8 * level) else 0)


def test_no_tile_beyond_the_tree() -> None:
    assert tile_width(0, 1, 256) == 0
    assert tile_width(0, 1, 257) == 1
    assert tile_width(5, 0, 10**9) == 0
    assert new_tiles(5, 5) == []


@given(st.integers(0, 63), st.integers(0, 10**15), st.integers(1, 256))
def test_paths_go_both_ways(level: int, index: int, width: int) -> None:
    tile = Tile(level, index, width)
    assert parse_tile_path(tile.path) == (tile, False)
    assert parse_tile_path(tile.entries_path) == (Tile(0, index, width), True)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0",
        "tile/0/1",
        "tile/0/0001",
        "tile/00/001",
        "tile/64/001",
        "tile/-1/001",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001/x002",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/007",
        "tile/0/001.p/",
        "tile/0/001/",
        "/tile/0/001",
        "tile/0/../001",
        "tile/0/٠٠١",
        "tile/data/001",
        "tile/entries/1",
        "tile/0/001\n",
    ],
)
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(BadTilePath):
        parse_tile_path(path)

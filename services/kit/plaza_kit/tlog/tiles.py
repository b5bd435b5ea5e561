"""Where the tree lies as files: tile coordinates and paths of C2SP tlog-tiles (height 8)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from plaza_kit.errors import InvalidArgument
from plaza_kit.tlog.merkle import NodeId

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
MAX_LEVEL: Final = 63


class BadTilePath(InvalidArgument):
    """Not the path of a tile."""


@dataclass(frozen=True, slots=True)
class Tile:
    """`width` consecutive hashes, the `index`-th such group of its level; full at 256, else partial."""

    level: int
    index: int
    width: int

    @property
    def path(self) -> str:
        """`tile/<L>/<N>[.p/<W>]`"""
        return f"tile/{self.level}/{_index_path(self.index)}{_width_suffix(self.width)}"

    @property
    def entries_path(self) -> str:
        """`tile/entries/<N>[.p/<W>]` of the bundle with the entries below a level 0 tile."""
        return f"tile/entries/{_index_path(self.index)}{_width_suffix(self.width)}"

    def nodes(self) -> list[NodeId]:
        """The nodes whose hashes, put together, are the tile's bytes."""
        first = self.index * TILE_WIDTH
        return [NodeId(self.level * TILE_HEIGHT, first + i) for i in range(self.width)]


def tile_width(level: int, index: int, tree_size: int) -> int:
    """How many hashes the tile has in a tree of `tree_size` leaves: 0 (no such tile) to 256."""
    return min(max((tree_size >> (TILE_HEIGHT * level)) - index * TILE_WIDTH, 0), TILE_WIDTH)


def new_tiles(old_size: int, new_size: int) -> list[Tile]:
    """The tiles that growing from `old_size` to `new_size` brings: full ones and the last, partial ones."""
    tiles: list[Tile] = []
    for level in range(MAX_LEVEL + 1):
        old, new = old_size >> (TILE_HEIGHT * level), new_size >> (TILE_HEIGHT * level)
        if old == new:
            break
        indices = range(old // TILE_WIDTH, -(-new // TILE_WIDTH))
        tiles += [Tile(level, index, tile_width(level, index, new_size)) for index in indices]
    return tiles


_TILE_PATH = re.compile(
    r"tile/(?P<level>0|[1-9][0-9]?|entries)/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


def parse_tile_path(path: str) -> tuple[Tile, bool]:
    """The tile of a path, and whether its entries are meant. Raises `BadTilePath` unless it is the one
    canonical path of that tile."""
    match = _TILE_PATH.fullmatch(path)
    if match is not None:
        entries = match["level"] == "entries"
        index = int(match["index"].replace("x", "").replace("/", ""))
        tile = Tile(0 if entries else int(match["level"]), index, int(match["width"] or TILE_WIDTH))
        if tile.level <= MAX_LEVEL and path == (tile.entries_path if entries else tile.path):
            return tile, entries
    raise BadTilePath(
        f"{path!r} is not a tile path", remedy="Use tile/<L>/<N>[.p/<W>], see c2sp.org/tlog-tiles."
    )


def _index_path(index: int) -> str:
    """1234067 → `x001/x234/067`"""
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03d}")
    return "/".join(groups)


def _width_suffix(width: int) -> str:
    return "" if width == TILE_WIDTH else f".p/{width}"

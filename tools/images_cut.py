"""Inside the image build: cut what one image needs out of an environment that holds everything.

Run by the environment's own Python. The distributions that the image needs are copied, each file by its record, into
a few folders, one for each layer of the image. What many images share comes first, so that a node keeps it once;
Plaza's own code comes last, so that a new version is a few megabytes.
All times are set to one moment: the same lock and the same code give the same layers.
"""

from __future__ import annotations

import importlib.metadata as metadata
import os
import shutil
import sys
import sysconfig
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path

from images_list import CODE, FLOORS, Image
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SITE = Path(sysconfig.get_path("purelib"))
"""Where this environment keeps its packages."""

MOMENT = 315_532_800
"""1980-01-01, the first moment that a zip file can say."""

UNUSED_FOLDERS = frozenset({"tests", "__pycache__"})
UNUSED_SUFFIXES = frozenset({".c", ".cc", ".cpp", ".h", ".hpp", ".pxd", ".pxi", ".pyi", ".pyx"})
"""What only a compiler, a type checker or the package's own tests read."""


def closure(roots: Iterable[str], without: Collection[str] = ()) -> frozenset[str]:
    """The distributions that `roots` require here, themselves included, by canonical name.

    Raises `PackageNotFoundError` when one is not installed.
    """
    found: set[tuple[str, str]] = set()
    waiting = [(canonicalize_name(root), "") for root in roots]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in found or name in without:
            continue
        found.add((name, extra))
        for requirement in _requirements(name):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                waiting += [(canonicalize_name(requirement.name), one) for one in ("", *requirement.extras)]
    return frozenset(name for name, _ in found)


@cache
def _requirements(distribution: str) -> tuple[Requirement, ...]:
    return tuple(map(Requirement, metadata.requires(distribution) or ()))


def layers(image: Image) -> list[frozenset[str]]:
    """The distributions of each layer: the shared floors (empty where the image lacks one), the rest, our code."""
    needed = closure(image.roots, image.without)
    code = frozenset(name for name in needed if name.startswith(CODE))
    left, found = needed - code, []
    for roots in FLOORS:
        floor = closure(roots)
        shared = left & floor if floor <= needed else frozenset()
        found.append(shared)
        left -= shared
    return [*found, left, code]


def files(distribution: str) -> Iterator[Path]:
    """The files of a distribution that a running program may need, compiled modules beside their sources."""
    for record in metadata.files(distribution) or ():
        path = Path(os.path.normpath(record.locate()))
        if UNUSED_FOLDERS.intersection(record.parts) or path.suffix in UNUSED_SUFFIXES:
            continue
        if path.parent == Path(sys.prefix) / "bin" and not distribution.startswith(CODE):
            continue
        yield path
        compiled = path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc"
        if path.suffix == ".py" and compiled.exists():
            yield compiled


def cut(image: Image, folder: Path) -> None:
    """Fill `folder/1`, `folder/2` … with the layers of an image, each as it lies below `/`."""
    for number, distributions in enumerate(layers(image), 1):
        layer = folder / str(number)
        layer.mkdir(parents=True)
        for distribution in sorted(distributions):
            for path in files(distribution):
                _copy(path, layer)
        if number == 1:
            for path in (Path(sys.prefix) / "pyvenv.cfg", *_interpreters()):
                _copy(path, layer)
    start = layer / sys.prefix.lstrip("/") / "bin" / "start"
    start.parent.mkdir(parents=True, exist_ok=True)
    program, *arguments = image.command
    start.write_text(
        f'#!/bin/sh\nexec {" ".join([f"{sys.prefix}/bin/{program}", *arguments])} "$@"\n', encoding="ascii"
    )
    start.chmod(0o755)


def _interpreters() -> Iterator[Path]:
    """The names by which the environment calls its Python."""
    folder = Path(sys.prefix) / "bin"
    yield from (folder / "python", *folder.glob("python[0-9]*"))


def settle(folder: Path) -> None:
    """Set the times of all that lies below a folder to one moment."""
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (MOMENT, MOMENT), follow_symlinks=False)


def _copy(path: Path, layer: Path) -> None:
    target = layer / path.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target, follow_symlinks=False)

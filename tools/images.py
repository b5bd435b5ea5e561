"""`make images`: build the images with docker or buildah, print their sizes, write their bills of materials.

Needs Python and one of the two builders, nothing else. From the environment: IMAGES (names, default all), REGISTRY
(in front of `plaza/NAME`), TAG (default: the version), BUILD_FLAGS (for the builder, for example
`--build-arg UV_DEFAULT_INDEX=… --build-arg PIP_INDEX_URL=…` where packages come from a mirror), IMAGE_LOADER (a command
that is given each image's name when it is built, for example `kind load docker-image`).
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from images_list import IMAGES

ROOT = Path(__file__).resolve().parent.parent
BILLS = ROOT / "dist" / "images"
BUILDERS = {"docker": ("docker", "build"), "buildah": ("buildah", "build", "--layers")}
"""How each builds; the flags that follow are the same for both."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be built."""

    names: tuple[str, ...]
    registry: str
    """In front of `plaza/NAME`."""
    tag: str
    version: str
    revision: str
    flags: tuple[str, ...]
    loader: tuple[str, ...]
    """A command that brings an image to where it is needed, without the image's name; empty: none."""

    def reference(self, name: str) -> str:
        """The whole name of an image."""
        return f"{self.registry}/plaza/{name}:{self.tag}"


def order(environment: Mapping[str, str], version: str, revision: str) -> Order:
    """What the environment asks for. Exits naming the images that there are when one is unknown."""
    names = tuple(environment.get("IMAGES", "").split()) or tuple(IMAGES)
    if unknown := [name for name in names if name not in IMAGES]:
        raise SystemExit(f"no image {', '.join(unknown)}; IMAGES may name: {' '.join(IMAGES)}")
    # A name without a registry means this one to docker and to every node; buildah alone would say localhost.
    registry = environment.get("REGISTRY", "").rstrip("/") or "docker.io"
    return Order(
        names,
        registry,
        environment.get("TAG") or version,
        version,
        revision,
        tuple(shlex.split(environment.get("BUILD_FLAGS", ""))),
        tuple(shlex.split(environment.get("IMAGE_LOADER", ""))),
    )


def build_commands(builder: str, order: Order, name: str) -> tuple[list[str], list[str]]:
    """The two calls for one image: its bill of materials into a folder, and the image itself."""
    arguments = {"IMAGE": name, "VERSION": order.version, "REVISION": order.revision}
    common = [*BUILDERS[builder], *order.flags]
    common += [part for pair in arguments.items() for part in ("--build-arg", "=".join(pair))]
    bill = [*common, "--target", "sbom", "--output", f"type=local,dest={BILLS / name}", str(ROOT)]
    return bill, [*common, "--tag", order.reference(name), str(ROOT)]


def find_builder() -> str:
    """The first builder that works here. Exits with what to install when there is none."""
    # A docker command without its daemon is common where buildah does the work.
    if shutil.which("docker") and _runs("docker", "info"):
        return "docker"
    if shutil.which("buildah"):
        return "buildah"
    raise SystemExit(
        "images are built with docker or buildah, and neither works here: start docker's daemon, or install buildah "
        "(Debian, Fedora: the package `buildah`)"
    )


def main() -> None:
    """Build what the environment asks for."""
    version = (ROOT / "VERSION").read_text(encoding="ascii").strip()
    wanted, builder = order(os.environ, version, _revision()), find_builder()
    for name in wanted.names:
        bill, image = build_commands(builder, wanted, name)
        shutil.rmtree(BILLS / name, ignore_errors=True)
        (BILLS / name).mkdir(parents=True)
        for command in (bill, image):
            _run(command)
        if wanted.loader:
            _run([*wanted.loader, wanted.reference(name)])
        print(f"{size(builder, wanted.reference(name)):>8}  {wanted.reference(name)}", flush=True)


def size(builder: str, reference: str) -> str:
    """Of an image, unpacked, as its builder says it."""
    command = [builder, "images", "--format", "{{.Size}}", reference]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[0]


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        sys.stderr.write(done.stdout.decode(errors="replace"))
        raise SystemExit(f"failed: {shlex.join(command)}")


def _runs(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _revision() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()

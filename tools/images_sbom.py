"""A software bill of materials of one image: CycloneDX 1.6, made from what is installed in it."""

from __future__ import annotations

import importlib.metadata as metadata
import platform
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

DEBIAN_PACKAGES = Path("/var/lib/dpkg/status")


def document(title: str, version: str, distributions: Iterable[str], debian: str) -> dict[str, Any]:
    """The bill: Python, the given distributions, and the packages of the base image (`debian`: dpkg's status).

    Without a time and a random serial number, so that the same image has the same bill.
    """
    python = {
        "type": "platform",
        "bom-ref": "python",
        "name": platform.python_implementation(),
        "version": platform.python_version(),
    }
    components = [
        python,
        *(_distribution(name) for name in sorted(distributions)),
        *debian_components(debian),
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "bom-ref": title, "name": title, "version": version}},
        "components": components,
    }


def _distribution(name: str) -> dict[str, Any]:
    about = metadata.metadata(name)
    url = f"pkg:pypi/{quote(name)}@{quote(about['Version'])}"
    component = {"type": "library", "bom-ref": url, "name": name, "version": about["Version"], "purl": url}
    if summary := _stated(about, "Summary"):
        component["description"] = summary
    return component | _licences(about)


def _licences(about: metadata.PackageMetadata) -> dict[str, Any]:
    """An SPDX expression where the package says one (PEP 639), else what it says in words."""
    if expression := _stated(about, "License-Expression"):
        return {"licenses": [{"expression": expression}]}
    classifiers = [
        line.rpartition(" :: ")[2] for line in about.get_all("Classifier") or () if _is_licence(line)
    ]
    stated = _stated(about, "License").splitlines()
    # Some put the whole text of the licence there; its first line is then its name.
    named = classifiers or stated[:1]
    return {"licenses": [{"license": {"name": name}} for name in named]} if named else {}


def _stated(about: metadata.PackageMetadata, field: str) -> str:
    return about[field].strip() if field in about else ""


def _is_licence(classifier: str) -> bool:
    return classifier.startswith("License :: ") and classifier != "License :: OSI Approved"


def debian_components(status: str) -> Iterator[dict[str, Any]]:
    """The installed packages of a `dpkg` status file (deb822)."""
    for paragraph in status.split("\n\n"):
        fields = _fields(paragraph)
        if fields.get("Status") == "install ok installed":
            name, version, built = fields["Package"], fields["Version"], fields["Architecture"]
            url = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={built}"
            yield {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}


def _fields(paragraph: str) -> Mapping[str, str]:
    lines = (line.partition(": ") for line in paragraph.splitlines() if not line.startswith(" "))
    return {name: value for name, _, value in lines}

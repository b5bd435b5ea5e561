"""Inside the image build: `python images_build.py IMAGE FOLDER VERSION` fills FOLDER with an image's layers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import images_check
from images_cut import SITE, cut, layers, settle
from images_list import IMAGES
from images_sbom import DEBIAN_PACKAGES, document

BILL = Path("app") / "sbom.cdx.json"


def main(name: str, folder: Path, version: str) -> None:
    """Exits with the known names when there is no such image, with Python's words when it lacks something."""
    if name not in IMAGES:
        raise SystemExit(f"there is no image {name!r}; IMAGE is one of: {', '.join(IMAGES)}")
    image = IMAGES[name]
    cut(image, folder)
    check(folder, image.check)
    found = layers(image)
    bill = document(f"plaza/{name}", version, frozenset().union(*found), DEBIAN_PACKAGES.read_text())
    text = json.dumps(bill, indent=1, ensure_ascii=False) + "\n"
    (folder / str(len(found)) / BILL).write_text(text, encoding="utf-8")
    settle(folder)


def check(folder: Path, package: str) -> None:
    """Import everything of a package from the layers, and from nothing else."""
    path = os.pathsep.join(str(layer / SITE.relative_to("/")) for layer in sorted(folder.iterdir()))
    # Without `site` (-S) the environment that holds everything is not looked at.
    command = [sys.executable, "-S", images_check.__file__, package]
    environment = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    if subprocess.run(command, env=environment, check=False).returncode != 0:
        raise SystemExit(f"the image lacks something that {package} imports; see IMAGES in images_list.py")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])

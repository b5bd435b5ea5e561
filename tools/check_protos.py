"""buf lint on the contract, and buf breaking against the parent commit; both offline, on descriptor sets."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
BUF = Path(sys.executable).parent / "buf"
OURS = "plaza/"


def buf(*arguments: str) -> list[str]:
    """What buf complains about, without the files of others that are only imported."""
    done = subprocess.run([BUF, *arguments], capture_output=True, text=True, check=False, cwd=ROOT / "protos")
    lines = (done.stdout + done.stderr).splitlines()
    if done.returncode not in (0, 100):
        raise SystemExit("\n".join(lines))
    return [line for line in lines if line.startswith(OURS)]


def config(section: str) -> str:
    """One section of buf.yaml as buf takes it on the command line for a single image."""
    settings = yaml.safe_load((ROOT / "protos" / "buf.yaml").read_text())
    return json.dumps({"version": "v2", section: settings[section]})


def parent_image(folder: Path) -> Path | None:
    """The descriptor set of the parent commit; None at the first commit and in a shallow clone of one."""
    archive = subprocess.run(
        ["git", "archive", "HEAD~1", "protos"], cwd=ROOT, capture_output=True, check=False
    )
    if archive.returncode != 0:
        return None
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    if not list((folder / "protos").glob("plaza/**/*.proto")):
        return None
    # The parent's protos, compiled by today's script: what is compared is the contract, not the build.
    shutil.copy(ROOT / "protos" / "build_protos.py", folder / "protos" / "build_protos.py")
    subprocess.run([sys.executable, folder / "protos" / "build_protos.py"], check=True)
    return folder / "protos" / "gen" / "plaza_protos" / "descriptors.binpb"


def main() -> int:
    """0 when the contract is clean."""
    image = f"{ROOT / 'protos' / 'gen' / 'plaza_protos' / 'descriptors.binpb'}#format=binpb"
    found = buf("lint", image, "--config", config("lint"))
    with tempfile.TemporaryDirectory() as folder:
        before = parent_image(Path(folder))
        if before is None:
            print("buf breaking: no parent commit to compare with")
        else:
            against = f"{before}#format=binpb"
            found += buf("breaking", image, "--against", against, "--config", config("breaking"))
    print("\n".join(found) if found else "buf: the contract is clean")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

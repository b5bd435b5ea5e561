"""Chapter four: the dataset is opened; a citizen finds it, downloads it, and can prove that it is the city's."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import subprocess
from pathlib import Path

import air_quality
import httpx
import pyarrow.parquet as pq
import pytest
from story import PLAZA, Story, free_port

pytestmark = pytest.mark.e2e

OFFICER = "ecology-officer"
DATASET = "ecology/parks"
NAME = "departments/ecology/datasets/parks"
HOURS = 300


@pytest.fixture(scope="module")
def released(suite: Story, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parks")
    file = air_quality.station_file(folder, "Temple", HOURS, seed=4)
    suite.log_in(OFFICER)
    contract = folder / "parks.yaml"
    suite.plaza("dataset", "infer", str(file), "--output", str(contract), person=OFFICER)
    contract.write_text(air_quality.with_rules(contract.read_text("utf-8")), "utf-8")
    suite.plaza(
        "dataset", "register", DATASET, "--contract", str(contract), "--grade", "public",
        "--sharing-class", "unconditional", "--title", "公园空气质量", "--title-en", "Air quality in parks",
        "--licence", "CC-BY-4.0", "--keyword", "绿地", "--open", person=OFFICER,
    )  # fmt: skip
    suite.plaza("ingest", DATASET, str(file), "--wait", person=OFFICER)
    release = suite.plaza("release", "publish", DATASET, "--wait", person=OFFICER)
    assert release["state"] == "RELEASE_STATE_PUBLISHED"
    return file


def page(suite: Story, path: str) -> httpx.Response:
    return httpx.get(f"{suite.portal}{path}", trust_env=False, timeout=30, follow_redirects=True)


def test_a_citizen_finds_it_in_chinese_and_in_english(suite: Story, released: Path) -> None:
    for path, title in (
        ("/zh/datasets?q=公园", "公园空气质量"),
        ("/en/datasets?q=parks", "Air quality in parks"),
        ("/zh/datasets?keyword=绿地&format=PARQUET", "公园空气质量"),
    ):
        found = page(suite, path)
        assert found.status_code == 200
        assert title in re.sub("</?mark>", "", found.text)
    shown = page(suite, "/zh/datasets/ecology/parks")
    assert "公园空气质量" in shown.text
    assert "PM2.5" in shown.text
    assert "CC-BY-4.0" in shown.text or "CC BY 4.0" in shown.text
    assert page(suite, "/zh/datasets/ecology/nothing").status_code == 404


def test_the_file_is_the_departments_rows(suite: Story, released: Path, tmp_path: Path) -> None:
    suite.plaza("release", "download", DATASET, "--output", str(tmp_path))
    downloaded = tmp_path / "parks-r1.csv"
    with downloaded.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with released.open(newline="", encoding="utf-8") as file:
        source = list(csv.DictReader(file))
    assert len(rows) == len(source) == HOURS
    assert [row["pm2_5"] or "NA" for row in rows] == [row["PM2.5"] for row in source]
    typed = pq.read_table(tmp_path / "parks-r1.parquet").column("pm2_5").to_pylist()
    assert typed == [float(row["pm2_5"]) if row["pm2_5"] else None for row in rows]
    some = suite.get(f"/{NAME}/releases/1/rows", filter="pm2_5 > 35", format="parquet")
    assert pq.read_table(io.BytesIO(some.content)).num_rows == sum((value or 0) > 35 for value in typed)


def test_a_part_of_a_file_and_an_unchanged_one(suite: Story, released: Path) -> None:
    address = f"{suite.api}/{NAME}/releases/1/files/parks-r1.csv"
    whole = httpx.get(address, trust_env=False)
    part = httpx.get(address, headers={"range": "bytes=100-199"}, trust_env=False)
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    unchanged = httpx.get(address, headers={"if-none-match": whole.headers["etag"]}, trust_env=False)
    assert unchanged.status_code == 304
    assert hashlib.sha256(whole.content).hexdigest() in whole.headers["etag"]


def test_the_proof_holds_without_any_server(suite: Story, released: Path, tmp_path: Path) -> None:
    suite.plaza("release", "download", DATASET, "--output", str(tmp_path))
    file, typed = tmp_path / "parks-r1.csv", tmp_path / "parks-r1.parquet"
    environment = suite.environment(OFFICER) | {"PLAZA_URL": suite.url}

    def verify(file: Path) -> subprocess.CompletedProcess[str]:
        # No proxy and a dead port: whoever asks a server here fails.
        offline = environment | {"http_proxy": f"http://127.0.0.1:{free_port()}", "NO_PROXY": ""}
        return subprocess.run(
            [PLAZA, "verify", str(file)], env=offline, capture_output=True, text=True, check=False
        )

    for each in (file, typed):
        assert verify(each).returncode == 0, verify(each).stderr
    file.write_bytes(file.read_bytes().replace(b"2013", b"2014", 1))
    assert verify(file).returncode == 5


def test_what_is_internal_cannot_be_opened(suite: Story) -> None:
    suite.log_in("market-officer")
    refused = suite.plaza("release", "publish", "market/elevators", person="market-officer", ok=False)
    assert refused.returncode == 1
    assert "public" in refused.stdout + refused.stderr


def test_a_withdrawn_release_leaves_a_tombstone(suite: Story, released: Path) -> None:
    suite.plaza("release", "withdraw", DATASET, "1", "--reason", "测试撤回", person=OFFICER)
    assert page(suite, "/zh/datasets/ecology/parks/releases/1").status_code == 410
    gone = httpx.get(f"{suite.api}/{NAME}/releases/1/files/parks-r1.csv", trust_env=False)
    assert gone.status_code == 404

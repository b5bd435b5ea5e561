"""Chapter six: what nobody carries as a file. A web address and a database are pulled; the table is the source."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import air_quality
import cluster
import pytest
from plaza_testing.postgres import embedded_programs, installed
from source_database import SourceDatabase
from story import Story, free_port

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(cluster.wanted(), reason="the sources are on this machine's loopback"),
]

OFFICER = "ecology-officer"
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: database-hours
name: 库中小时值
version: 1.0.0
status: active
schema:
  - name: database-hours
    logicalType: object
    properties:
      - {name: station, logicalType: string, required: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: "no", physicalName: "No", logicalType: integer, required: true, primaryKey: true, primaryKeyPosition: 2}
      - {name: pm2_5, physicalName: PM2.5, logicalType: number}
      - {name: written, logicalType: timestamp}
"""
WHY = (
    "--class", "government", "--owner", "monitoring centre", "--basis", "Environmental Protection Law, article 17",
    "--justification", "hours and values only",
)  # fmt: skip


@pytest.fixture(scope="module")
def readings() -> Iterator[SourceDatabase]:
    with tempfile.TemporaryDirectory(prefix="plaza-source-") as folder:
        port = free_port()
        with installed(embedded_programs(), Path(folder), port=port) as address:
            yield SourceDatabase(address, port)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """An address, and the file behind it; the server says when it has not changed."""
    file = air_quality.station_file(tmp_path_factory.mktemp("web"), "Tiantan", 72)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = file.read_bytes()
            mark = f'"{len(body)}"'
            fresh = self.headers.get("If-None-Match") == mark
            self.send_response(304 if fresh else 200)
            self.send_header("ETag", mark)
            self.send_header("Content-Length", str(0 if fresh else len(body)))
            self.end_headers()
            if not fresh:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/tiantan.csv", file
    server.shutdown()
    thread.join()
    server.server_close()


def officer(suite: Story, *arguments: str, ok: bool = True) -> Any:
    return suite.plaza(*arguments, person=OFFICER, ok=ok)


def pulled(suite: Story, source: str) -> dict[str, Any]:
    run: dict[str, Any] = officer(suite, "source", "pull", source, "--wait")
    assert run["state"] == "RUN_STATE_SUCCEEDED", run
    return run


def table(suite: Story, dataset: str) -> list[tuple[str, int, float]]:
    """Station, number of the hour and value of each row, in order."""
    done = suite.get(f"/departments/ecology/datasets/{dataset}/rows", OFFICER, format="csv", pageSize="10000")
    assert done.status_code == 200, done.text
    found = csv.DictReader(io.StringIO(done.text))
    return sorted((row["station"], int(row["no"]), float(row["pm2_5"] or "nan")) for row in found)


@pytest.fixture(scope="module", autouse=True)
def registered(
    suite: Story, web: tuple[str, Path], readings: SourceDatabase, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Two datasets, the system that their data are born in, and how each is reached."""
    suite.log_in(OFFICER)
    officer(
        suite, "source-system", "add", "ecology/stations", "--title", "自动监测站", "--class", "government",
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("contracts")
    officer(suite, "dataset", "infer", str(web[1]), "--output", str(folder / "web-hours.yaml"))
    (folder / "database-hours.yaml").write_text(CONTRACT, "utf-8")
    for dataset, title in (("web-hours", "网上小时值"), ("database-hours", "库中小时值")):
        officer(
            suite, "dataset", "register", f"ecology/{dataset}", "--contract", str(folder / f"{dataset}.yaml"),
            "--title", title, "--grade", "internal", "--sharing-class", "unconditional",
        )  # fmt: skip
    officer(
        suite, "source", "add", "ecology/web", "--dataset", "ecology/web-hours", "--title", "网址", *WHY,
        "--mode", "replace", "--http", web[0], "--system", "stations",
    )  # fmt: skip
    connector = readings.connector
    officer(
        suite, "source", "add", "ecology/database", "--dataset", "ecology/database-hours", "--title", "前置库",
        *WHY, "--mode", "upsert", "--postgres", f"127.0.0.1:{connector['port']}/postgres", "--user", "postgres",
        "--tls", "disable", "--table", "readings", "--watermark", "written", "--lateness", "200h",
        "--system", "stations",
    )  # fmt: skip


def test_a_source_names_its_system(suite: Story, web: tuple[str, Path]) -> None:
    refused = officer(
        suite, "source", "add", "ecology/other", "--dataset", "ecology/web-hours", "--title", "网址", *WHY,
        "--http", web[0], "--system", "nowhere", ok=False,
    )  # fmt: skip
    assert refused.returncode != 0
    assert "sourceSystems/nowhere is not registered" in refused.stdout + refused.stderr


def test_an_address_is_pulled_when_it_has_news(suite: Story, web: tuple[str, Path]) -> None:
    _, file = web
    whole = file.read_bytes()
    file.write_bytes(b"".join(whole.splitlines(keepends=True)[: 1 + 48]))
    assert pulled(suite, "ecology/web")["version"] == 1
    assert len(table(suite, "web-hours")) == 48
    assert pulled(suite, "ecology/web")["unchanged"]
    file.write_bytes(whole)
    assert pulled(suite, "ecology/web")["version"] == 2
    assert len(table(suite, "web-hours")) == 72


def test_a_table_that_grows_is_the_table_here(suite: Story, readings: SourceDatabase) -> None:
    readings.grow(0)
    assert pulled(suite, "ecology/database")["version"] == 1
    assert table(suite, "database-hours") == readings.readings()
    again = pulled(suite, "ecology/database")
    assert (again["unchanged"], again["version"]) == (True, 0)
    # Written late, and corrected: both lie behind what the pull before has seen.
    readings.grow(1)
    assert pulled(suite, "ecology/database")["version"] == 2
    assert table(suite, "database-hours") == readings.readings()

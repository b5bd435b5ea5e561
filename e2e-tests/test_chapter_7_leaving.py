"""Chapter seven: somebody leaves the bureau. A minute later no door opens to the tokens that are still about."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import air_quality
import httpx
import leaving
import pytest
from keycloak_pages import People
from story import Story, until

pytestmark = pytest.mark.e2e

OFFICER, LEAVER = "ecology-officer", "ecology-reader"
WORKER = "transport-worker"
DATASET = "ecology/leaving"
NAME = "departments/ecology/datasets/leaving"
HOURS = 300_000
"""Some 60 MB on their way: a fast machine's connections hold several of them."""
PROMISED_SECONDS = 60


@dataclass
class Exit:
    """One way in, of somebody who is already in."""

    story: Story
    headers: dict[str, str]
    path: str = "/api/v1/caller"

    def __call__(self) -> int:
        """The status of the answer."""
        address = f"{self.story.url}{self.path}"
        return httpx.get(address, headers=self.headers, trust_env=False, timeout=30).status_code


def bearer(story: Story, token: str) -> Exit:
    return Exit(story, {"authorization": f"Bearer {token}"})


class Console:
    """A browser with the console open."""

    def __init__(self, story: Story, people: People, person: str) -> None:
        self.story = story
        self.browser = httpx.Client(base_url=story.url, trust_env=False, timeout=30)
        to_issuer = self.browser.get("/console/login")
        assert to_issuer.next_request is not None, to_issuer.text
        callback = f"{story.url}/console/callback"
        back = people.sign_in(str(to_issuer.next_request.url), callback, person)
        assert self.browser.get("/console/callback", params=back).status_code == 303

    def close(self) -> None:
        self.browser.close()

    def __call__(self) -> int:
        """As an exit: to be sent to the log-in page is to be refused."""
        answer = self.browser.get("/console/datasets")
        return 401 if "/console/login" in answer.headers.get("location", "") else answer.status_code


class Stream:
    """A whole table, of which little was read yet: what the network does not hold waits in the service."""

    def __init__(self, story: Story, token: str) -> None:
        small = httpx.HTTPTransport(socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)])
        self._http = httpx.Client(transport=small, timeout=60)
        request = self._http.build_request(
            "GET",
            f"{story.url}/api/v1/{NAME}/rows?format=jsonl",
            headers={"authorization": f"Bearer {token}"},
        )
        self._answer = self._http.send(request, stream=True)
        assert self._answer.status_code == 200
        self._chunks = self._answer.iter_raw(65_536)
        self.read = len(next(self._chunks))

    def to_its_end(self) -> bool:
        """Reads on. False: it broke off."""
        try:
            for chunk in self._chunks:
                self.read += len(chunk)
        except httpx.RemoteProtocolError:
            return False
        finally:
            self.close()
        return True

    def close(self) -> None:
        self._answer.close()
        self._http.close()


@pytest.fixture(scope="module")
def people(suite: Story) -> People:
    """Who go through the issuer's pages."""
    return getattr(suite, "people", None) or People(suite.password)


@pytest.fixture(scope="module")
def table(suite: Story, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Large enough that no buffer on the way holds all of it."""
    folder = tmp_path_factory.mktemp("leaving")
    sample = air_quality.station_file(folder, "Gucheng", 200)
    suite.log_in(OFFICER)
    contract = folder / "leaving.yaml"
    suite.plaza("dataset", "infer", str(sample), "--output", str(contract), person=OFFICER)
    suite.plaza(
        "dataset", "register", DATASET, "--contract", str(contract), "--grade", "internal",
        "--sharing-class", "unconditional", "--title", "离任测试", person=OFFICER,
    )  # fmt: skip
    whole = air_quality.station_file(folder, "Gucheng", HOURS, first=200)
    suite.plaza("ingest", DATASET, str(whole), person=OFFICER)
    first = bearer(suite, suite.token(OFFICER))
    first.path = f"/api/v1/{NAME}/versions/1"
    until(lambda: first() == 200, "the table is there", 240)
    return suite


@pytest.fixture
def coming_back(suite: Story) -> Iterator[None]:
    """Other stories need them."""
    yield
    for name in (LEAVER, WORKER):
        leaving.set_open(suite, name, True)
    again = f"{LEAVER} is let in again"
    until(lambda: bearer(suite, suite.token(LEAVER))() == 200, again, PROMISED_SECONDS)


def test_no_exit_lets_out_more_than_a_minute_longer(
    request: pytest.FixtureRequest, table: Story, people: People, coming_back: None
) -> None:
    suite = table
    suite.log_in(LEAVER)
    officer, token = bearer(suite, suite.token(OFFICER)), suite.token(LEAVER)
    machine = bearer(suite, leaving.worker_token(suite, "transport").json()["access_token"])
    console = Console(suite, people, LEAVER)
    exits: dict[str, Exit | Console] = {"api": bearer(suite, token), "console": console, "machine": machine}
    # The service that sends the rows hears of it by itself: once it refuses new calls, the old ones must end too.
    exits["rows"] = Exit(suite, bearer(suite, token).headers, f"/api/v1/{NAME}/rows?pageSize=1")
    whole, stream = (Stream(suite, each) for each in (suite.token(OFFICER), token))
    request.addfinalizer(whole.close)
    request.addfinalizer(stream.close)
    assert {name: ask() for name, ask in exits.items()} == dict.fromkeys(exits, 200)

    closed = {}
    for name in (LEAVER, WORKER):
        leaving.set_open(suite, name, False)
        closed[name] = time.monotonic()
    for name, ask in exits.items():
        since = closed[WORKER if name == "machine" else LEAVER]
        leaving.until_refused(ask, since + PROMISED_SECONDS)
        print(f"{name}: refused {time.monotonic() - since:.1f} s after the account was closed")
    assert not stream.to_its_end(), "the rows went on"
    passed = time.monotonic() - closed[LEAVER]
    print(f"stream: broken off after {stream.read} bytes, {passed:.1f} s after the account was closed")
    assert passed < PROMISED_SECONDS
    assert whole.to_its_end(), "others read on"
    assert stream.read < whole.read

    command = suite.plaza("whoami", person=LEAVER, ok=False)
    assert command.returncode != 0
    assert "the session has ended" in command.stderr
    assert leaving.worker_token(suite, "transport").status_code in (400, 401)
    assert officer() == 200
    console.close()


def test_while_the_issuer_is_away_nobody_is_logged_out_and_nobody_gets_in(
    suite: Story, people: People, coming_back: None
) -> None:
    for person in (OFFICER, LEAVER):
        suite.log_in(person)
    officer, leaver = (bearer(suite, suite.token(person)) for person in (OFFICER, LEAVER))
    console = Console(suite, people, OFFICER)
    assert (officer(), leaver(), console()) == (200, 200, 200)
    leaving.set_open(suite, LEAVER, False)
    leaving.until_refused(leaver, time.monotonic() + PROMISED_SECONDS)
    begun = time.monotonic()
    with leaving.issuer_away(suite):
        away = time.monotonic()
        while time.monotonic() - away < leaving.AWAY_SECONDS:
            seen = (officer(), leaver(), console())
            # Whoever could have left without our hearing of it waits: "try again", and not "log in".
            in_doubt = time.monotonic() - begun > PROMISED_SECONDS - 10
            assert seen == (200, 401, 200) or (in_doubt and seen == (503, 401, 503)), seen
            time.sleep(1)
    until(lambda: (officer(), console()) == (200, 200), "both are in as before", PROMISED_SECONDS)
    assert suite.plaza("whoami", person=OFFICER)["username"] == OFFICER
    assert leaver() == 401
    console.close()

"""A run, watched until it has ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from .failures import BrokenOff, NotReachable, Refused, RunFailed, StrangeAnswer
from .names import short, word
from .output import whole
from .progress import Advance, bar
from .surroundings import Plaza

_ATTEMPTS = 6
"""Connections in a row that bring no news before we give up; the run itself goes on."""
_LONGEST_PAUSE_SECONDS = 5.0
_PASSING = frozenset({401, 408, 429, 499, 500, 502, 503, 504})
"""Refusals that another try may not meet. 401 in the middle: the token ended, the next try renews it."""
_ENDED = frozenset({"succeeded", "failed", "cancelled"})


def state_of(run: dict[str, Any]) -> str:
    """`succeeded`, `running`, …"""
    return word(run.get("state"), "RUN_STATE")


def has_ended(run: dict[str, Any]) -> bool:
    """Whether nothing more will happen to it."""
    return state_of(run) in _ENDED


def follow(here: Plaza, name: str) -> dict[str, Any]:
    """The run `departments/{d}/runs/{id}` when it has ended, however; progress is shown meanwhile.

    A stream that breaks is opened again. Raises `BrokenOff` when there is no news for several tries, `Refused`
    when the run may not be seen.
    """
    try:
        with bar(here.out, "run", speed=False) as advance:
            return _follow(here, name, _Speedometer(here.surroundings.now, advance))
    except KeyboardInterrupt:
        here.out.note(f"The run goes on. {how_to_watch(name)}")
        raise


def how_to_watch(name: str) -> str:
    """What to type to see more of a run."""
    return f"Watch it with: plaza run show {short(name)} --wait"


def check_succeeded(run: dict[str, Any]) -> None:
    """Raises `RunFailed` with the words written on an ended run that did not succeed."""
    state = state_of(run)
    if state == "succeeded":
        return
    error = run.get("error") or {}
    said = error.get("message") or "no reason is written on it"
    raise RunFailed(f"run {short(run.get('name'))} {state}: {said}", remedy=str(error.get("remedy") or ""))


def _follow(here: Plaza, name: str, show: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    silent = 0
    while True:
        try:
            for run in _watch(here, name):
                silent = 0
                show(run)
                if has_ended(run):
                    return run
            trouble = "the stream ended before the run did"
        except (NotReachable, StrangeAnswer) as failure:
            trouble = failure.message
        except httpx.HTTPError as error:
            trouble = str(error) or type(error).__name__
        except Refused as refusal:
            if refusal.status not in _PASSING:
                raise
            trouble = refusal.message
        silent += 1
        if silent >= _ATTEMPTS:
            raise BrokenOff(
                f"run {short(name)} cannot be watched: {trouble}",
                remedy=f"The run may go on. {how_to_watch(name)}",
            )
        here.surroundings.sleep(min(float(silent), _LONGEST_PAUSE_SECONDS))


def _watch(here: Plaza, name: str) -> Iterator[dict[str, Any]]:
    with here.api.stream(f"{name}:watch") as response:
        for line in response.iter_lines():
            if not line.strip():
                continue
            try:
                news = json.loads(line)
            except ValueError:
                news = None
            if not isinstance(news, dict):
                raise StrangeAnswer(f"{name}:watch: a line is not a JSON object")
            if "name" not in news and isinstance(news.get("error"), dict):
                # A run has an error of its own, but always a name too.
                raise Refused.from_problem(whole(news["error"], "status"), news["error"])
            yield news


class _Speedometer:
    """Turns news of a run into a bar with rows a second."""

    def __init__(self, now: Callable[[], float], advance: Advance) -> None:
        self._now = now
        self._advance = advance
        self._start: tuple[float, int] | None = None

    def __call__(self, run: dict[str, Any]) -> None:
        progress = run.get("progress") or {}
        rows, time = whole(progress, "rowsRead"), self._now()
        since, before = self._start or (time, rows)
        self._start = (since, before)
        rate = f", {int((rows - before) / (time - since)):,} rows/s" if time > since else ""
        note = f"{state_of(run)}: {rows:,} rows{rate}, {whole(progress, 'rowsRefused'):,} refused"
        self._advance(whole(progress, "bytesDone"), whole(progress, "bytesTotal") or None, note)

"""A person's browser, driven: Chromium by its own protocol (Chrome DevTools Protocol) over two pipes.

Only the standard library. Nothing sleeps for a guessed time: whoever needs something waits for it, with a limit.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE = 120.0
"""Seconds until a wait is given up: the machine may be busy."""
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_POLL = 0.05
_BECOME = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Puts the pipes where the protocol wants them, as descriptors 3 and 4, and becomes the browser."""


class BrowserError(Exception):
    """The browser refused, ended, or did not show in time what was waited for."""


def chromium() -> str | None:
    """The browser's command, where one is installed."""
    return next((found for found in map(shutil.which, _NAMES) if found), None)


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A fresh browser without a window; it ends with the block. Raises BrowserError when there is none."""
    command = chromium()
    if command is None:
        raise BrowserError(f"none of these is installed: {', '.join(_NAMES)}")
    running = Browser(command, profile)
    try:
        yield running
    finally:
        running.close()


class Browser:
    """The process and the two pipes to it; messages are JSON, each with a zero byte behind it."""

    def __init__(self, command: str, profile: Path) -> None:
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        # Its own marks of life go to a file: a pipe that nobody reads would stop it one day.
        self._log = (profile.parent / f"{profile.name}.log").open("wb")
        ends = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 10) for each in (to_browser, from_browser)]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BECOME, *map(str, ends), command, *_flags(profile)],
            pass_fds=ends,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        for each in (to_browser, from_browser, *ends):
            os.close(each)
        self._unread = bytearray()
        self._calls = 0
        self._answers: dict[int, dict[str, Any]] = {}

    def page(self, width: int = 1280, height: int = 900) -> Page:
        """A new page, in a window of this size."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = Page(self, str(session))
        page.call("Page.enable")
        page.call("Runtime.enable")
        page.size(width, height)
        return page

    def call(self, method: str, values: dict[str, Any] | None = None, session: str = "") -> dict[str, Any]:
        """What the browser answers. Raises BrowserError."""
        self._calls += 1
        number = self._calls
        message: dict[str, Any] = {"id": number, "method": method, "params": values or {}}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        try:
            while data:
                data = data[os.write(self._out, data) :]
        except BrokenPipeError as error:
            raise BrowserError(f"{method}: the browser ended with code {self._process.wait()}") from error
        until = time.monotonic() + PATIENCE
        while number not in self._answers:
            self._read(until, method)
        answer = self._answers.pop(number)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error'].get('message')}")
        result: dict[str, Any] = answer.get("result", {})
        return result

    def _read(self, until: float, waiting_for: str) -> None:
        ready, _, _ = select.select([self._in], [], [], max(until - time.monotonic(), 0))
        if not ready:
            raise BrowserError(f"{waiting_for}: no answer within {PATIENCE:.0f} s")
        data = os.read(self._in, 1 << 20)
        if not data:
            raise BrowserError(f"{waiting_for}: the browser ended with code {self._process.wait()}")
        self._unread += data
        *messages, rest = self._unread.split(b"\0")
        self._unread = bytearray(rest)
        for message in map(json.loads, messages):
            if "id" in message:
                self._answers[message["id"]] = message

    def close(self) -> None:
        """Ends the browser and what it started."""
        try:
            self.call("Browser.close")
            self._process.wait(10)
        except (BrowserError, OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._out)
        os.close(self._in)
        self._log.close()


class Page:
    """One page, as hands and eyes have it."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    def call(self, method: str, values: dict[str, Any] | None = None) -> dict[str, Any]:
        """A call of the protocol at this page."""
        return self._browser.call(method, values, self._session)

    # Eyes

    def look(self, expression: str) -> Any:
        """The value of a JavaScript expression. Raises BrowserError, also when the page is just being changed."""
        answer = self.call("Runtime.evaluate", {"expression": expression, "returnByValue": True})
        if "exceptionDetails" in answer:
            told = answer["exceptionDetails"]
            raise BrowserError(f"{expression}: {told.get('exception', {}).get('description', told['text'])}")
        return answer["result"].get("value")

    def wait(self, expression: str, promise: str, seconds: float = PATIENCE) -> Any:
        """The expression's value as soon as it is true. Raises BrowserError with what the page shows instead."""
        until = time.monotonic() + seconds
        while True:
            try:
                found = self.look(expression)
                # An element comes as an empty object; it is there all the same.
                if found or found == {}:
                    return found
            except BrowserError as error:
                # Between two pages there is nothing to look at.
                if time.monotonic() > until:
                    raise BrowserError(f"not within {seconds:.0f} s: {promise}: {error}") from error
            if time.monotonic() > until:
                shown = self.look("location.href + '\\n' + (document.body ? document.body.innerText : '')")
                raise BrowserError(f"not within {seconds:.0f} s: {promise}; the page shows:\n{shown[:3000]}")
            time.sleep(_POLL)

    def sees(self, words: str, seconds: float = PATIENCE) -> None:
        """Waits for words that a person can read on the page."""
        self.wait(
            f"document.readyState === 'complete' && document.body.innerText.includes({json.dumps(words)})",
            f"“{words}” on the page",
            seconds,
        )

    def at(self, path: str) -> None:
        """Waits until the page with this beginning of its path is there, whole."""
        self.wait(
            f"document.readyState === 'complete' && location.pathname.startsWith({json.dumps(path)})",
            f"the page {path}",
        )

    def all(self, selector: str, of: str = "e.innerText.trim()") -> list[Any]:
        """Of every element one value, by an expression over `e`."""
        found = self.look(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => {of})")
        assert isinstance(found, list)
        return found

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """The page as it looks, all of its height."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"] if whole else None
        values: dict[str, Any] = {"format": "png"}
        if size is not None:
            clip = {"x": 0, "y": 0, "width": self.look("innerWidth"), "height": size["height"], "scale": 1}
            values |= {"captureBeyondViewport": True, "clip": clip}
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", values)["data"]))

    # Hands

    def go(self, address: str) -> None:
        """Opens an address and waits until all of it is there."""
        # A mark on the page that is left: what is waited for is another page.
        self.look("window.left = true")
        told = self.call("Page.navigate", {"url": address})
        if told.get("errorText"):
            raise BrowserError(f"{address}: {told['errorText']}")
        self.wait("!window.left && document.readyState === 'complete'", f"the page {address}")

    def click(self, selector: str) -> None:
        """A click with the mouse in the middle of the element, once it is there and nothing lies over it."""
        x, y = self._middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            values = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", values)

    def write(self, selector: str, text: str) -> None:
        """Puts the text in the place of what stands in a field, by keyboard."""
        self.click(selector)
        self.look(f"document.querySelector({json.dumps(selector)}).select()")
        if text:
            self.call("Input.insertText", {"text": text})
        else:
            self.press("Delete", 46)
        self.wait(
            f"document.querySelector({json.dumps(selector)}).value === {json.dumps(text)}",
            f"“{text}” in {selector}",
        )

    def press(self, key: str, code: int, text: str = "") -> None:
        """One key; `code` is its Windows virtual key code."""
        values = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
        self.call("Input.dispatchKeyEvent", down | values)
        self.call("Input.dispatchKeyEvent", {"type": "keyUp"} | values)

    def choose(self, selector: str, value: str) -> None:
        """Another entry of a list. Its window is drawn outside the page, so the choice is made from within."""
        self._middle(selector)
        place = f"document.querySelector({json.dumps(selector)})"
        self.look(
            f"{place}.value = {json.dumps(value)};"
            f"{place}.dispatchEvent(new Event('input', {{bubbles: true}}));"
            f"{place}.dispatchEvent(new Event('change', {{bubbles: true}}))"
        )
        assert self.look(f"{place}.value") == value, f"{selector} has no entry {value}"

    def drop(self, selector: str, file: Path) -> None:
        """Drags a file over the page and lets go above the element."""
        x, y = self._middle(selector)
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})

    def choose_file(self, selector: str, file: Path) -> None:
        """Chooses a file by the field's button."""
        document = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", {"nodeId": document, "selector": selector})["nodeId"]
        self.call("DOM.setFileInputFiles", {"nodeId": node, "files": [str(file)]})

    # Around it

    def size(self, width: int, height: int = 900) -> None:
        """The window's size, in CSS pixels."""
        values = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", values)

    def colours(self, scheme: str) -> None:
        """What the device says that it likes: `light` or `dark`."""
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.call("Emulation.setEmulatedMedia", {"features": features})

    def without_script(self, off: bool = True) -> None:
        """Whether pages opened from now on run no script."""
        self.call("Emulation.setScriptExecutionDisabled", {"value": off})

    def _middle(self, selector: str) -> tuple[float, float]:
        place = json.dumps(selector)
        found = self.wait(
            f"""(() => {{
                const e = document.querySelector({place});
                if (!e || document.readyState !== 'complete') return null;
                e.scrollIntoView({{block: 'center', inline: 'center', behavior: 'instant'}});
                const box = e.getBoundingClientRect();
                const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
                const top = document.elementFromPoint(x, y);
                return top && (top === e || e.contains(top) || top.contains(e)) ? [x, y] : null;
            }})()""",
            f"{selector} where a person can reach it",
        )
        return float(found[0]), float(found[1])


def _flags(profile: Path) -> list[str]:
    flags = [
        "--headless=new",
        "--remote-debugging-pipe",
        f"--user-data-dir={profile}",
        "--no-first-run",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--password-store=basic",
        "--hide-scrollbars",
        "--no-proxy-server",
        "--lang=zh-CN",
        "--accept-lang=zh-CN",
    ]
    # The sandbox needs an ordinary user; whoever is root already (a container) has none to fall back to.
    return [*flags, "--no-sandbox"] if os.geteuid() == 0 else flags

"""The issuer's own pages, Keycloak's or the development issuer's, as a person goes through them: name and password,
one-time code, consent to a device."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx

_STEPS = 8
_CODE_SECONDS = 30
_CODES = 2
"""A person whose code was refused tries the next one."""
_NOT_WORDS = re.compile(r"<script.*?</script>|<style.*?</style>|<[^>]*>", re.DOTALL)


class _Form(HTMLParser):
    """The first form of a page: where it goes, and what it holds already."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = dict(attrs)
        if tag == "form" and self.action is None:
            self.action, self._inside = has.get("action") or "", True
        elif self._inside and tag in ("input", "button") and (name := has.get("name")):
            # Of several buttons of one name the first: that is the one which Enter presses.
            self.fields.setdefault(name, has.get("value") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False


class Stopped(AssertionError):
    """The pages led nowhere: the last one, which says why."""

    def __init__(self, person: str, page: httpx.Response) -> None:
        words = " ".join(_NOT_WORDS.sub(" ", page.text).split())
        super().__init__(f"{person} did not come to the end: {page.status_code} {page.url}\n{words[:1500]}")
        self.page = page


@dataclass
class People:
    """Logs people in with one password for all; remembers the second factors that they set up on the way."""

    password: str
    secrets: dict[str, str] = field(default_factory=dict)
    passed: list[str] = field(default_factory=list)
    """What the forms of the last way asked for, one after the other: `username`, `password`, `totp`, `otp`,
    `consent`."""
    _used: dict[str, int] = field(default_factory=dict)

    def confirm_device(self, address: str, person: str, password: str = "") -> None:
        """From the address that the command printed to the page that says: done. Raises Stopped."""
        page = self._walk(address, person, password or self.password, "")
        if page.status_code != 200 or not str(page.url.path).endswith(("/device/status", "/device/done")):
            raise Stopped(person, page)

    def sign_in(self, address: str, redirect_uri: str, person: str, password: str = "") -> dict[str, str]:
        """From a client's authorization request back to the client: what the browser brings it. Raises Stopped."""
        page = self._walk(address, person, password or self.password, redirect_uri)
        if page.next_request is None:
            raise Stopped(person, page)
        return dict(page.next_request.url.params)

    def _walk(self, address: str, person: str, password: str, redirect_uri: str) -> httpx.Response:
        """Until there is no form left, or the browser is sent to `redirect_uri`."""
        self.passed = []
        with httpx.Client(trust_env=False, timeout=30) as browser:

            def followed(page: httpx.Response) -> httpx.Response:
                for _ in range(_STEPS):
                    # Browsers take this machine's own address for a safe one, and cookies for safe addresses with it.
                    for cookie in browser.cookies.jar:
                        cookie.secure = False
                    there = page.next_request
                    if there is None or (redirect_uri and str(there.url).startswith(redirect_uri)):
                        break
                    page = browser.get(there.url)
                return page

            page = followed(browser.get(address))
            for _ in range(_STEPS):
                form = _Form()
                form.feed(page.text)
                if page.status_code != 200 or form.action is None:
                    break
                if "password" in form.fields and "password" in self.passed:
                    break  # asked again: it was wrong
                if "otp" in form.fields and self.passed.count("otp") == _CODES:
                    break
                filled = self._filled(form.fields, person, password)
                page = followed(browser.post(urljoin(str(page.url), form.action), data=filled))
            return page

    def _filled(self, fields: dict[str, str], person: str, password: str) -> dict[str, str]:
        if "totpSecret" in fields:
            self.passed.append("totp")
            self.secrets[person] = fields["totpSecret"]
            return fields | {"totp": self._code(person), "userLabel": "story"}
        if "otp" in fields:
            self.passed.append("otp")
            return fields | {"otp": self._code(person)}
        if "username" in fields or "password" in fields:
            # With organizations Keycloak asks for the name on a page of its own, for it may decide where to log in.
            self.passed.append("password" if "password" in fields else "username")
            return fields | {"username": person, "password": password}
        self.passed.append("consent")
        return {name: value for name, value in fields.items() if name != "cancel"}  # accept, or the code

    def _code(self, person: str) -> str:
        """RFC 6238; each code is good once, so the next one may have to be waited for."""
        while (step := int(time.time()) // _CODE_SECONDS) == self._used.get(person):
            time.sleep(0.5)
        self._used[person] = step
        digest = hmac.new(self.secrets[person].encode(), step.to_bytes(8, "big"), hashlib.sha1).digest()
        at = digest[-1] & 15
        return f"{(int.from_bytes(digest[at : at + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"

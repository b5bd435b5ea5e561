"""Keycloak's own pages as a person goes through them: name and password, one-time code, consent to a device."""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx

_STEPS = 8
_CODE_SECONDS = 30


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
            self.fields[name] = has.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False


@dataclass
class People:
    """Logs people in with one password for all; remembers the second factors that they set up on the way."""

    password: str
    secrets: dict[str, str] = field(default_factory=dict)
    _used: dict[str, int] = field(default_factory=dict)

    def confirm_device(self, address: str, person: str) -> None:
        """From the address that the command printed to the page that says: done."""
        with httpx.Client(follow_redirects=True, trust_env=False, timeout=30) as browser:

            def keep(_: httpx.Response) -> None:
                # Browsers take this machine's own address for a safe one, and cookies for safe addresses with it.
                for cookie in browser.cookies.jar:
                    cookie.secure = False

            browser.event_hooks = {"response": [keep]}
            page = browser.get(address)
            for _ in range(_STEPS):
                form = _Form()
                form.feed(page.text)
                if page.status_code != 200 or form.action is None:
                    break
                page = browser.post(
                    urljoin(str(page.url), form.action), data=self._filled(form.fields, person)
                )
            assert page.status_code == 200, f"{person}: {page.status_code} {page.text[:2000]}"
            assert "device/status" in str(page.url), (
                f"{person} did not come to the end: {page.url}\n{page.text}"
            )

    def _filled(self, fields: dict[str, str], person: str) -> dict[str, str]:
        if "totpSecret" in fields:
            self.secrets[person] = fields["totpSecret"]
            return fields | {"totp": self._code(person), "userLabel": "story"}
        if "otp" in fields:
            return fields | {"otp": self._code(person)}
        if "username" in fields or "password" in fields:
            return {"username": person, "password": self.password}
        return {name: value for name, value in fields.items() if name != "cancel"}  # consent: accept

    def _code(self, person: str) -> str:
        """RFC 6238; each code is good once, so the next one may have to be waited for."""
        while (step := int(time.time()) // _CODE_SECONDS) == self._used.get(person):
            time.sleep(0.5)
        self._used[person] = step
        digest = hmac.new(self.secrets[person].encode(), step.to_bytes(8, "big"), hashlib.sha1).digest()
        at = digest[-1] & 15
        return f"{(int.from_bytes(digest[at : at + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"

"""`plaza login`, `plaza logout`."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import typer
from plaza_kit.signing import BadKey, VerifyingKey

from .failures import Failure, NotReachable, WrongUse
from .identity import Issuer
from .session import Session
from .surroundings import JsonOption, Plaza, UrlOption, plaza


def login(
    context: typer.Context,
    user: Annotated[
        str | None, typer.Option("--user", help="Log-in name; without it the browser is used.")
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input; needs --user.")
    ] = False,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Log in, in a browser or with a demo person's password, and pin the ledger's keys."""
    if password_stdin and user is None:
        raise WrongUse("--password-stdin needs --user", remedy="Give --user NAME too, or neither.")
    here = plaza(context, url, as_json)
    issuer = Issuer.of(here.http, here.url)
    if user is None:
        session = _with_browser(here, issuer)
    else:
        password = _read_password() if password_stdin else getpass.getpass(f"Password of {user}: ")
        session = issuer.log_in_with_password(user, password, here.surroundings.now)
    with here.sessions.lock(here.url):
        here.sessions.save(session)
    _pin_keys(here)
    caller = here.api.get("caller")
    if here.out.as_json:
        here.out.document({"url": here.url, "caller": caller})
    else:
        name = caller.get("displayName") or caller.get("username") or caller.get("name", "")
        here.out.line(f"Logged in at {here.url} as {name}")


def logout(context: typer.Context, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """End the session here and at the issuer."""
    here = plaza(context, url, as_json)
    with here.sessions.lock(here.url):
        session = here.sessions.load(here.url)
        if session is not None:
            # Forgotten first: whatever the issuer says, this machine no longer holds it.
            here.sessions.forget(here.url)
            try:
                Issuer.discover(here.http, here.url, session.issuer, session.client_id).revoke(session)
            except Failure as failure:
                here.out.note(f"The issuer was not told: {failure.message}")
    if here.out.as_json:
        here.out.document({"url": here.url, "loggedOut": session is not None})
    else:
        here.out.line(f"Logged out at {here.url}" if session else f"There was no session at {here.url}")


def _with_browser(here: Plaza, issuer: Issuer) -> Session:
    code = issuer.start_device()
    here.out.note(f"Open {code.verification_uri} and enter the code {code.user_code}")
    if code.verification_uri_complete:
        here.out.note(f"or open {code.verification_uri_complete}")
    here.out.note("Waiting for you to confirm; Ctrl-C ends this.")
    return issuer.finish_device(code, here.surroundings.now, here.surroundings.sleep)


def _read_password() -> str:
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise WrongUse(
            "there is no password on standard input",
            remedy="Pipe it in: plaza login --user NAME --password-stdin < FILE",
        )
    return password


def _pin_keys(here: Plaza) -> None:
    """Trust on first use. A Plaza whose ledger does not answer can still be used: only `verify` lacks a key."""
    try:
        keys = here.api.open_get("ledger:keys").get("keys") or []
        vkeys = [VerifyingKey.from_vkey(key).vkey for key in keys if isinstance(key, str)]
    except (Failure, BadKey) as error:
        if isinstance(error, NotReachable):
            raise
        here.out.note(f"No ledger key was pinned: {error.message}")
        return
    for vkey in here.sessions.pin(here.url, vkeys):
        here.out.note(
            f"warning: the ledger of {here.url} has a new key, now trusted too: {vkey}. "
            "If nobody announced a new key, ask the city's auditors before you trust proofs made with it."
        )

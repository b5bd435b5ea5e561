"""What can go wrong in the command, each with the exit code a script can rely on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar


class ExitCode(IntEnum):
    """Documented in `plaza --help`; never renumbered. Ctrl-C is 130, as in a shell."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    NOT_LOGGED_IN = 3
    NOT_REACHABLE = 4
    NOT_VERIFIED = 5


@dataclass(frozen=True, slots=True)
class Place:
    """One wrong place in what was sent."""

    where: str
    """`body`, `query`, `path` or `header`."""
    pointer: str
    detail: str


class Failure(Exception):
    """The root: ends the command with `exit_code`. The message names the place, `remedy` what to do."""

    exit_code: ClassVar[ExitCode] = ExitCode.REFUSED

    def __init__(self, message: str, *, remedy: str = "", places: tuple[Place, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.places = places

    def facts(self) -> dict[str, Any]:
        """The failure for `--json`, with the member names of the API's problems."""
        document: dict[str, Any] = {"detail": self.message, "exitCode": int(self.exit_code)}
        if self.remedy:
            document["remedy"] = self.remedy
        if self.places:
            document["errors"] = [
                {"in": place.where, "pointer": place.pointer, "detail": place.detail} for place in self.places
            ]
        return document


class Refused(Failure):
    """A server answered, and the answer is no."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        remedy: str = "",
        places: tuple[Place, ...] = (),
        values: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy, places=places)
        self.status = status
        self.reason = reason
        self.values = dict(values or {})
        """What the server names for programs, for example `version`: the `facts` of the problem."""

    def facts(self) -> dict[str, Any]:
        document = super().facts()
        if self.status:
            document["status"] = self.status
        if self.reason:
            document["reason"] = self.reason
        if self.values:
            document["facts"] = self.values
        return document

    @classmethod
    def from_problem(cls, status: int, problem: Mapping[str, Any]) -> Refused:
        """The problem of RFC 9457 as the gateway writes it. Members of a wrong type are passed over."""
        title, detail = _text(problem, "title"), _text(problem, "detail")
        listed, values = problem.get("errors"), problem.get("facts")
        return cls(
            detail or title or f"HTTP {status}",
            status=status,
            reason=_text(problem, "reason"),
            remedy=_text(problem, "remedy"),
            places=tuple(
                Place(_text(error, "in"), _text(error, "pointer"), _text(error, "detail"))
                for error in (listed if isinstance(listed, list) else [])
                if isinstance(error, dict)
            ),
            values=(
                {str(name): str(value) for name, value in values.items()} if isinstance(values, dict) else {}
            ),
        )


class StrangeAnswer(Failure):
    """A server answered with something that is not what its interface promises."""


class WrongUse(Failure):
    """The command line or a file named in it is wrong."""

    exit_code = ExitCode.USAGE


class NotLoggedIn(Failure):
    """No session, or one that has ended."""

    exit_code = ExitCode.NOT_LOGGED_IN

    def __init__(self, url: str, why: str = "not logged in") -> None:
        super().__init__(f"{why} at {url}", remedy=f"Run: plaza --url {url} login")


class NotReachable(Failure):
    """No answer came."""

    exit_code = ExitCode.NOT_REACHABLE


class BrokenOff(Failure):
    """An answer that ended before it was complete, or a run whose end cannot be learned."""


class RunFailed(Failure):
    """The server did the work, and it did not succeed: the error written on the run or release."""


class NotVerified(Failure):
    """The proof does not prove that the file is what the ledger says."""

    exit_code = ExitCode.NOT_VERIFIED


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""

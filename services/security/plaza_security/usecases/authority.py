"""Security's own decisions, by the bundle that it publishes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from plaza_kit.identity import Principal
from plaza_kit.policy import Decider, Resource
from plaza_kit.rpc import context

from plaza_security.domain.bundle import Bundle, packaged_policies


class Authority:
    """The bundle in force. Security decides by it directly: it need not ask itself over the network."""

    def __init__(
        self, denied_file: Path | None = None, leavers: Callable[[], frozenset[str]] = frozenset
    ) -> None:
        """`denied_file`: subjects without any right, one a line; a missing file denies nobody; `leavers`: subjects and
        clients whose accounts were closed."""
        self._denied_file = denied_file
        self._leavers = leavers
        self._policies, self._schema = packaged_policies()
        self._made: tuple[Bundle, Decider] | None = None

    def bundle(self) -> Bundle:
        """What is in force now."""
        return self._current()[0]

    def decider(self) -> Decider:
        """The same, ready to decide."""
        return self._current()[1]

    def authorize(self, action: str, resource: Resource, facts: Mapping[str, Any] | None = None) -> Principal:
        """The caller, if they may do this. Raises NotPermitted or PersonRemoved."""
        principal = context.caller()
        self.decider().authorize(principal, action, resource, facts)
        return principal

    def _current(self) -> tuple[Bundle, Decider]:
        denied = self._denied() | self._leavers()
        if self._made is None or self._made[0].denied != denied:
            bundle = Bundle(self._policies, self._schema, denied)
            decider = Decider(self._policies, self._schema, version=bundle.version, denied=denied)
            self._made = bundle, decider
        return self._made

    def _denied(self) -> frozenset[str]:
        if self._denied_file is None or not self._denied_file.exists():
            return frozenset()
        lines = self._denied_file.read_text("utf-8").splitlines()
        return frozenset(line.strip() for line in lines if line.strip())

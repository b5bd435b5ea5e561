"""Path templates of `google.api.http` and the table that finds a route for a raw path.

Matching works on the raw (still percent-encoded) path, so that `a%2Fb` stays one segment; a verb (`:publish`)
is split off at the last raw colon only if a route with that verb matches, so that an id such as `urn:x:1`
arrives intact.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from plaza_gateway.transcode.descriptors import ContractError, Face, HttpBinding, Method

_VARIABLE = re.compile(r"\{([A-Za-z_][\w.]*)(?:=([^{}]+))?\}")
_ENCODED_SLASH = re.compile(r"(%2[Ff])")


class UndecodablePath(ValueError):
    """The percent-encoded path is not UTF-8."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A path variable: the request field it binds and the range of segments that it covers."""

    field: str
    """Dotted proto path of the request field."""
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed path template."""

    segments: tuple[str, ...]
    """Literals, `*` (one segment) or, at the end only, `**` (the rest)."""
    variables: tuple[Variable, ...]
    verb: str
    """Custom verb without the colon; empty when there is none."""

    @property
    def open_ended(self) -> bool:
        """Ends with `**`."""
        return self.segments[-1] == "**"

    def match(self, segments: tuple[str, ...]) -> dict[str, str] | None:
        """Values of the variables, decoded, or None. Raises UndecodablePath."""
        if not self._fits(segments):
            return None
        last = len(self.segments)
        values: dict[str, str] = {}
        for variable in self.variables:
            stop = len(segments) if self.open_ended and variable.stop == last else variable.stop
            covered = segments[variable.start : stop]
            several = variable.stop - variable.start > 1 or self.segments[variable.start] == "**"
            values[variable.field] = "/".join(_decoded(each, keep_slash=several) for each in covered)
        return values

    def _fits(self, segments: tuple[str, ...]) -> bool:
        fixed = self.segments[:-1] if self.open_ended else self.segments
        if self.open_ended != (len(segments) > len(fixed)) or len(segments) < len(fixed):
            return False
        pairs = zip(fixed, segments, strict=False)
        return all(bool(seen) if want == "*" else seen == want for want, seen in pairs)


def _decoded(segment: str, *, keep_slash: bool) -> str:
    """Percent-decoding as google.api.http says: in a variable of several segments `%2F` is left as it is."""
    parts = _ENCODED_SLASH.split(segment) if keep_slash else [segment]
    try:
        return "".join(
            part if keep_slash and index % 2 else unquote_to_bytes(part).decode()
            for index, part in enumerate(parts)
        )
    except UnicodeDecodeError as error:
        raise UndecodablePath(segment) from error


def parse_template(text: str) -> Template:
    """Parse `/api/v1/{name=departments/*}:suspend`. Raises ContractError for what cannot be served."""
    path, _, verb = text.partition(":") if ":" in text.rpartition("/")[2] else (text, "", "")
    if not path.startswith("/"):
        raise ContractError(f"the path template {text!r} must begin with a slash")
    segments: list[str] = []
    variables: list[Variable] = []
    rest = path
    while rest:
        rest = rest.removeprefix("/")
        if found := _VARIABLE.match(rest):
            covered = (found[2] or "*").split("/")
            variables.append(Variable(found[1], len(segments), len(segments) + len(covered)))
            segments.extend(covered)
            rest = rest[found.end() :]
        else:
            literal, slash, tail = rest.partition("/")
            segments.append(literal)
            rest = slash + tail
        if rest and not rest.startswith("/"):
            raise ContractError(
                f"in the path template {text!r} a segment is more than a literal or a variable"
            )
    if not all(segments) or "**" in segments[:-1] or any("{" in each for each in segments):
        raise ContractError(f"the path template {text!r} is not one that this gateway can match")
    return Template(tuple(segments), tuple(variables), verb)


@dataclass(frozen=True, slots=True)
class Route:
    """One HTTP method on one path template, served by one RPC."""

    method: Method
    binding: HttpBinding
    template: Template

    @property
    def full_name(self) -> str:
        """Full name of the RPC."""
        return self.method.full_name

    @property
    def verb(self) -> str:
        """The HTTP method."""
        return self.binding.verb

    @property
    def path(self) -> str:
        """The template as written."""
        return self.binding.template

    @property
    def face(self) -> Face:
        """The face that the route belongs to."""
        return self.method.face

    @property
    def anonymous(self) -> bool:
        """Answers without a caller."""
        return self.method.anonymous


def on_face(face: Face, served: frozenset[Face]) -> bool:
    """Whether a process that serves these faces serves a route of this one."""
    return face in served or "internal" in served


def routes_of(methods: Iterable[Method], faces: frozenset[Face]) -> tuple[Route, ...]:
    """The routes that a process with these faces serves. The internal face serves public routes too."""
    return tuple(
        Route(method, binding, parse_template(binding.template))
        for method in methods
        if on_face(method.face, faces)
        for binding in method.bindings
    )


@dataclass(frozen=True, slots=True)
class Match:
    """A path that is known: its routes by HTTP method, with the values of the path's variables."""

    routes: Mapping[str, tuple[Route, dict[str, str]]]

    @property
    def allow(self) -> str:
        """The value of the `Allow` header."""
        verbs = {*self.routes, "OPTIONS", *(("HEAD",) if "GET" in self.routes else ())}
        return ", ".join(sorted(verbs))


class RouteTable:
    """Finds routes by raw path; literals win over variables."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._by_shape: dict[tuple[str, int], list[Route]] = {}
        self._open_ended: dict[str, list[Route]] = {}
        seen: dict[tuple[str, tuple[str, ...], str], Route] = {}
        for route in sorted(
            routes, key=lambda each: [part in ("*", "**") for part in each.template.segments]
        ):
            template = route.template
            twin = seen.setdefault((route.verb, template.segments, template.verb), route)
            if twin is not route:
                raise ContractError(f"{route.full_name} and {twin.full_name} claim {route.verb} {route.path}")
            if template.open_ended:
                self._open_ended.setdefault(template.verb, []).append(route)
            else:
                self._by_shape.setdefault((template.verb, len(template.segments)), []).append(route)

    def find(self, raw_path: str) -> Match | None:
        """The routes of a raw path, or None when no template fits. Raises UndecodablePath."""
        head, colon, verb = raw_path.rpartition(":")
        if colon and "/" not in verb and (found := self._find(head, verb)):
            return found
        return self._find(raw_path, "")

    def _find(self, path: str, verb: str) -> Match | None:
        segments = tuple(path.split("/")[1:])
        found: dict[str, tuple[Route, dict[str, str]]] = {}
        for route in self._candidates(verb, len(segments)):
            if route.verb not in found and (values := route.template.match(segments)) is not None:
                found[route.verb] = (route, values)
        return Match(found) if found else None

    def _candidates(self, verb: str, length: int) -> Iterator[Route]:
        yield from self._by_shape.get((verb, length), ())
        yield from self._open_ended.get(verb, ())

"""Reads the contract: services with their HTTP rules, faces and comments, out of one descriptor set.

Everything is looked up in a private pool, so that the gateway needs no generated code of any service and two
contracts can live in one process.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pool import DescriptorPool

Face = Literal["public", "internal"]

_FACES: dict[int, Face] = {1: "public", 2: "internal"}
_VERBS = ("get", "put", "post", "delete", "patch")

# Field numbers in descriptor.proto, as they stand in the paths of SourceCodeInfo.
_FILE_CHILDREN = {4: "message_type", 5: "enum_type", 6: "service", 7: "extension"}
_MESSAGE_CHILDREN = {2: "field", 3: "nested_type", 4: "enum_type", 8: "oneof_decl"}
_OTHER_CHILDREN = {"enum_type": {2: "value"}, "service": {2: "method"}}


class ContractError(Exception):
    """The descriptor set declares something that this gateway cannot serve; the message names the method."""


@dataclass(frozen=True, slots=True)
class HttpBinding:
    """One pattern of a `google.api.http` rule."""

    verb: str
    """Upper case: GET, PUT, POST, DELETE, PATCH."""
    template: str
    """As written: `/api/v1/{name=departments/*}:suspend`."""
    body: str
    """Empty (no body), `*` (the whole request) or the name of one request field."""
    without: frozenset[str] = frozenset()
    """Request fields that no caller can set: a hand-written route fills them itself."""


@dataclass(frozen=True, slots=True)
class Method:
    """An RPC that has HTTP routes."""

    full_name: str
    package: str
    service: str
    """Full name of the service."""
    name: str
    request: str
    response: str
    server_streaming: bool
    face: Face
    anonymous: bool
    deprecated: bool
    bindings: tuple[HttpBinding, ...]

    @property
    def rpc_path(self) -> str:
        """The `:path` of the gRPC call."""
        return f"/{self.service}/{self.name}"


class Contract:
    """A parsed FileDescriptorSet (made with imports; with source info if comments are wanted)."""

    def __init__(self, descriptor_set: bytes) -> None:
        self.pool = DescriptorPool()
        for file in descriptor_pb2.FileDescriptorSet.FromString(descriptor_set).file:
            self.pool.Add(file)
        # Parsed once more by the pool's own class: only that one knows the options declared in this set.
        own = message_factory.GetMessageClass(
            self.pool.FindMessageTypeByName("google.protobuf.FileDescriptorSet")
        )
        self._files: list[Any] = list(own.FromString(descriptor_set).file)  # type: ignore[attr-defined]
        self._protos: dict[str, Any] = {}
        self._comments: dict[str, str] = {}
        for file in self._files:
            self._index(file)
        self.methods: tuple[Method, ...] = tuple(self._methods())

    def message(self, full_name: str) -> Descriptor:
        """The descriptor of a message. Raises KeyError when the set does not hold it."""
        return self.pool.FindMessageTypeByName(full_name)

    def proto(self, full_name: str) -> Any:
        """The `…DescriptorProto` of anything with a name; its options resolve all known extensions."""
        return self._protos[full_name]

    def comment(self, full_name: str) -> str:
        """The comment above a declaration, without markers; empty when there is none."""
        return self._comments.get(full_name, "")

    def option(self, full_name: str, extension: str) -> Any | None:
        """The value of an option of a declaration; None when not set or not part of this contract."""
        try:
            handle = self.pool.FindExtensionByName(extension)
        except KeyError:
            return None
        options = self._protos[full_name].options
        if handle.is_repeated:
            return list(options.Extensions[handle]) or None
        return options.Extensions[handle] if options.HasExtension(handle) else None

    def resource_patterns(self) -> Iterator[str]:
        """All patterns of `google.api.resource` options: `departments/{department}/datasets/{dataset}`."""
        for name, proto in self._protos.items():
            if proto.DESCRIPTOR.name == "DescriptorProto":
                resource = self.option(name, "google.api.resource")
                yield from resource.pattern if resource else ()

    def by_hand(
        self, full_name: str, binding: HttpBinding, *, face: Face, anonymous: bool, request: str = ""
    ) -> Method:
        """An RPC without an HTTP rule, for a route that is written by hand. `request`: the message that path
        and query fill, where it is not the RPC's own. Raises ContractError when the RPC is not there, has a
        rule of its own, or declares another face."""
        proto = self._protos.get(full_name)
        if proto is None or proto.DESCRIPTOR.name != "MethodDescriptorProto":
            raise ContractError(f"{full_name}: there is no such method for {binding.verb} {binding.template}")
        if self.option(full_name, "google.api.http") is not None:
            raise ContractError(f"{full_name}: has an HTTP rule and a hand-written route; one must go")
        declared = _FACES.get(self.option(full_name, "plaza.common.v1.face") or 0)
        if declared not in (None, face):
            raise ContractError(f"{full_name}: declares the face {declared}, its route says {face}")
        service = full_name.rpartition(".")[0]
        return Method(
            full_name=full_name,
            package=service.rpartition(".")[0],
            service=service,
            name=proto.name,
            request=request or proto.input_type.removeprefix("."),
            response=proto.output_type.removeprefix("."),
            server_streaming=proto.server_streaming,
            face=face,
            anonymous=anonymous,
            deprecated=proto.options.deprecated,
            bindings=(binding,),
        )

    def _index(self, file: Any) -> None:
        comments = {tuple(place.path): _comment(place) for place in file.source_code_info.location}
        for path, full_name, proto in _declarations(file, (), file.package, _FILE_CHILDREN):
            self._protos[full_name] = proto
            if comments.get(path):
                self._comments[full_name] = comments[path]

    def _methods(self) -> Iterator[Method]:
        for file in self._files:
            for service in file.service:
                service_name = _join(file.package, service.name)
                for method in service.method:
                    full_name = f"{service_name}.{method.name}"
                    rule = self.option(full_name, "google.api.http")
                    if rule is not None:
                        yield self._method(file.package, service_name, full_name, method, rule)

    def _method(self, package: str, service: str, full_name: str, method: Any, rule: Any) -> Method:
        if method.client_streaming:
            raise ContractError(f"{full_name}: a client-streaming method cannot have an HTTP rule")
        face = _FACES.get(self.option(full_name, "plaza.common.v1.face") or 0)
        if face is None:
            raise ContractError(f"{full_name}: a method with an HTTP rule must declare its face")
        bindings = tuple(_binding(full_name, each) for each in (rule, *rule.additional_bindings))
        return Method(
            full_name=full_name,
            package=package,
            service=service,
            name=method.name,
            request=method.input_type.removeprefix("."),
            response=method.output_type.removeprefix("."),
            server_streaming=method.server_streaming,
            face=face,
            anonymous=bool(self.option(full_name, "plaza.common.v1.anonymous")),
            deprecated=method.options.deprecated,
            bindings=bindings,
        )


def _binding(full_name: str, rule: Any) -> HttpBinding:
    verb = rule.WhichOneof("pattern")
    if verb not in _VERBS:
        raise ContractError(f"{full_name}: an HTTP rule needs one of {', '.join(_VERBS)}, not {verb}")
    if rule.response_body:
        raise ContractError(f"{full_name}: response_body is not supported; answer the message itself")
    if rule.body and verb in ("get", "delete"):
        raise ContractError(f"{full_name}: {verb.upper()} takes no body (RFC 9110, section 9.3)")
    return HttpBinding(verb=verb.upper(), template=getattr(rule, verb), body=rule.body)


def _declarations(
    parent: Any, path: tuple[int, ...], scope: str, children: dict[int, str]
) -> Iterator[tuple[tuple[int, ...], str, Any]]:
    """All declarations under a file or message with their source path and full name."""
    for number, kind in children.items():
        for index, proto in enumerate(getattr(parent, kind)):
            here = (*path, number, index)
            full_name = _join(scope, proto.name)
            yield here, full_name, proto
            nested = (
                _MESSAGE_CHILDREN if kind in ("message_type", "nested_type") else _OTHER_CHILDREN.get(kind)
            )
            if nested:
                yield from _declarations(proto, here, full_name, nested)


def _join(scope: str, name: str) -> str:
    return f"{scope}.{name}" if scope else name


def _comment(place: Any) -> str:
    text = place.leading_comments or place.trailing_comments
    lines = (line.removeprefix(" ").rstrip() for line in text.strip("\n").splitlines())
    # Remarks for the linter are not prose for readers.
    return "\n".join(line for line in lines if not line.lstrip().startswith("buf:lint:")).strip()

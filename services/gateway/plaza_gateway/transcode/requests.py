"""Path, query, headers and body of an HTTP request → validated wire bytes of the RPC's request message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from protovalidate import Validator

from plaza_gateway.transcode import conditions, masks
from plaza_gateway.transcode.codec import Codec, Unreadable
from plaza_gateway.transcode.masks import Mask
from plaza_gateway.transcode.places import Places
from plaza_gateway.transcode.plans import JsonPath, RequestPlan
from plaza_gateway.transcode.prewalk import Walk, parse_json, pointer
from plaza_gateway.transcode.problems import Complaint, Problem
from plaza_gateway.transcode.queries import read_query
from plaza_gateway.transcode.rules import Broken, broken_rules
from plaza_gateway.transcode.scalars import Refused, from_text


@dataclass(slots=True)
class _Draft:
    """The request as JSON while it is being put together."""

    document: dict[str, Any] = field(default_factory=dict)
    sent: dict[str, Any] = field(default_factory=dict)
    """The resource as the caller sent it, server-set fields included."""
    mask: Mask | None = None
    contradiction: bool = False
    """If-Match and the etag in the request ask for two states at once."""


class RequestReader:
    """Reads the requests of one route."""

    def __init__(self, plan: RequestPlan, codec: Codec, validator: Validator) -> None:
        self.plan = plan
        self.places = Places(plan.route, plan.shape)
        self._codec = codec
        self._validator = validator

    def read(
        self,
        variables: Mapping[str, str],
        query: bytes,
        if_match: str | None,
        body: bytes,
        idempotency_key: str | None = None,
    ) -> bytes:
        """The wire bytes. Raises Problem: 400 with the wrong places, 412, or 422 when only rules are broken
        that the API document cannot express."""
        parameters = read_query(query, self.plan.query)
        draft = _Draft()
        self._read_body(draft, body, parameters)
        for path, value in parameters.items():
            _put(draft.document, path, value)
        self._bind(draft, variables)
        if if_match is not None and self.plan.route.verb != "GET":
            self._expect(draft, if_match)
        if idempotency_key is not None and self.plan.route.verb != "GET":
            self._identify(draft, idempotency_key)
        if self.plan.mask_field is not None and draft.mask is not None:
            draft.document[self.plan.mask_field.json_name] = draft.mask.text
        wire = self._validated(draft)
        if draft.contradiction:
            raise conditions.stale("If-Match and the etag of the request differ; both cannot hold")
        return wire

    def _read_body(self, draft: _Draft, body: bytes, parameters: Mapping[JsonPath, Any]) -> None:
        if not self.plan.route.binding.body:
            if body:
                raise Problem(
                    400, "UNEXPECTED_BODY", f"{self.plan.route.verb} {self.plan.route.path} takes no body"
                )
            return
        walk = Walk()
        if self.plan.body_field is None:
            value = parse_json(body) if body else {}
            draft.document = walk.message(self.plan.shape, value, hidden=self.plan.hidden)
        elif not body:
            if self.plan.body_required:
                walk.complain((), "is required: this route needs a body")
        elif self.plan.resource is None:
            draft.document[self.plan.body_field.json_name] = walk.field(
                self.plan.body_field, parse_json(body)
            )
        else:
            self._read_resource(draft, parse_json(body), parameters, walk)
        if walk.complaints:
            raise Problem.of_complaints(tuple(walk.complaints))

    def _read_resource(
        self, draft: _Draft, value: Any, parameters: Mapping[JsonPath, Any], walk: Walk
    ) -> None:
        assert self.plan.body_field is not None
        assert self.plan.resource is not None
        if self.plan.mask_field is None:
            clean = walk.message(self.plan.resource, value)
        else:
            text = parameters.get((self.plan.mask_field.json_name,))
            mask = self._given_mask(text) if text else None
            walk.lenient = mask is not None and mask.deep
            clean = walk.message(self.plan.resource, value, partial=mask is None or not mask.whole)
            draft.mask = mask or masks.derive(clean, self.plan.resource)
            if not walk.complaints and not draft.mask.whole and not draft.mask.paths:
                walk.complain((), "must hold at least one field to change")
        draft.document[self.plan.body_field.json_name] = clean
        draft.sent = value if isinstance(value, dict) else {}

    def _given_mask(self, text: str) -> Mask:
        assert self.plan.resource is not None
        assert self.plan.mask_field is not None
        try:
            return masks.parse(text, self.plan.resource)
        except masks.UnknownPath as error:
            place = Complaint("query", self.plan.mask_field.json_name, str(error))
            raise Problem.of_complaints((place,)) from error

    def _bind(self, draft: _Draft, variables: Mapping[str, str]) -> None:
        for name, fields in self.plan.bound.items():
            try:
                value = from_text(fields[-1], variables[name])
            except Refused as refused:
                raise Problem.of_complaints((Complaint("path", name, str(refused)),)) from refused
            path = tuple(each.json_name for each in fields)
            # An object that was read and is sent back holds its name: fine, if it is the one in the path.
            if self.plan.body_field and path[0] == self.plan.body_field.json_name:
                sent = _get(draft.sent, path[1:])
                if sent not in (None, value):
                    place = Complaint("body", pointer(path[1:]), "differs from the name in the path")
                    raise Problem.of_complaints((place,))
            _put(draft.document, path, value)

    def _expect(self, draft: _Draft, if_match: str) -> None:
        if not self.plan.etag_path:
            raise Problem(
                400,
                "CONDITION_UNSUPPORTED",
                f"{self.plan.route.verb} {self.plan.route.path} has no entity tag to compare with If-Match",
                remedy="Leave If-Match out.",
            )
        if etag := conditions.expected(if_match):
            # What is wrong whatever the state comes first (RFC 9110, section 13.2.1).
            draft.contradiction = _get(draft.document, self.plan.etag_path) not in (None, "", etag)
            _put(draft.document, self.plan.etag_path, etag)

    def _identify(self, draft: _Draft, text: str) -> None:
        """Idempotency-Key is the request's `request_id`. Where the method is idempotent by itself, a key that the
        request has no place for changes nothing (RFC 9110, section 9.2.2)."""
        field = self.plan.request_id
        if field is None and self.plan.route.verb in ("PUT", "DELETE"):
            return
        if field is None:
            raise Problem(
                400,
                "IDEMPOTENCY_UNSUPPORTED",
                f"{self.plan.route.verb} {self.plan.route.path} keeps no record of requests, so that a repeated one "
                "is done again",
                remedy="Leave Idempotency-Key out; look what became of the first request before you repeat it.",
            )
        key = conditions.idempotency_key(text)
        if _get(draft.document, (field.json_name,)) not in (None, "", key):
            raise Problem.of_complaints(
                (Complaint("header", "Idempotency-Key", f"differs from {field.json_name} in the request"),)
            )
        draft.document[field.json_name] = key

    def _validated(self, draft: _Draft) -> bytes:
        try:
            decoded = self._codec.decode(self.plan.shape.full_name, draft.document)
        except Unreadable as error:
            raise Problem(400, "INVALID_REQUEST", f"the request does not fit: {error}") from error
        broken = broken_rules(self._validator, decoded.message)
        if draft.mask is not None:
            broken = tuple(each for each in broken if self._touched(draft.mask, each))
        if broken:
            beyond = all(each.custom or self._left_out(draft, each) for each in broken)
            complaints = tuple(Complaint(*self.places.of_steps(each.steps), each.detail) for each in broken)
            raise Problem.of_complaints(complaints, 422 if beyond else 400)
        return decoded.wire

    def _touched(self, mask: Mask, broken: Broken) -> bool:
        """Whether a rule is this request's matter: fields that an update does not name are validated in the
        merged object, which only the service has."""
        if not self.plan.body_field or not broken.steps or broken.steps[0] != self.plan.body_field.name:
            return True
        return mask.covers(self.places.in_json(broken.steps)[1:])

    def _left_out(self, draft: _Draft, broken: Broken) -> bool:
        """The mask names a field that the body leaves out: to be cleared, which a rule forbids."""
        path = self.places.in_json(broken.steps)
        return draft.mask is not None and _get(draft.document, path[:2]) is None


def _put(document: dict[str, Any], path: JsonPath, value: Any) -> None:
    for name in path[:-1]:
        document = document.setdefault(name, {})
    document[path[-1]] = value


def _get(document: Mapping[str, Any], path: tuple[str | int, ...]) -> Any:
    value: Any = document
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) and isinstance(name, str) else None
    return value

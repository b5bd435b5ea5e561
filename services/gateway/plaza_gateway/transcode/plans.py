"""What one route's request looks like over HTTP: which field stands where.

Worked out once per route; the reader acts on it and the API document describes it.
"""

from __future__ import annotations

from plaza_gateway.transcode.descriptors import ContractError
from plaza_gateway.transcode.queries import query_fields
from plaza_gateway.transcode.routes import Route
from plaza_gateway.transcode.shapes import FieldShape, Kind, Shapes, field_path

JsonPath = tuple[str, ...]


class RequestPlan:
    """The places of one route's request fields."""

    def __init__(self, route: Route, shapes: Shapes) -> None:
        """Raises ContractError when the route's rule names a field that its request message does not have."""
        self.route = route
        self.shape = shapes[route.method.request]
        body = route.binding.body
        try:
            self.bound: dict[str, tuple[FieldShape, ...]] = {
                each.field: field_path(self.shape, each.field) for each in route.template.variables
            }
            self.body_field = field_path(self.shape, body)[0] if body not in ("", "*") else None
        except KeyError as error:
            raise ContractError(f"{route.full_name}: {error.args[0]}") from error
        self.query = query_fields(route, self.shape)
        # The resource in the body; None when the body is missing, the whole request, or no single message.
        self.resource = self.body_field.message if self.body_field and self.body_field.single else None
        mask = self.shape.by_name.get("update_mask")
        self.mask_field = mask if mask and mask.kind is Kind.FIELD_MASK and self.resource else None
        self.etag_path = self._find_etag()
        request_id = self.shape.by_name.get("request_id")
        self.request_id = request_id if request_id and request_id.kind is Kind.STRING else None
        """The field that makes a repeated call harmless (AIP-155); None when the request has none."""

    @property
    def whole_body(self) -> bool:
        """The body is the request message, but for what the path binds."""
        return self.route.binding.body == "*"

    @property
    def hidden(self) -> frozenset[str]:
        """JSON names of request fields that the path binds; unknown in a body that is the whole request."""
        return frozenset(fields[0].json_name for fields in self.bound.values() if len(fields) == 1)

    @property
    def body_required(self) -> bool:
        """A request without a body is refused."""
        if self.body_field is None:
            missing = bool(self.shape.required - self.hidden or self.shape.required_oneofs)
            return self.whole_body and missing
        return self.mask_field is not None or self.body_field.json_name in self.shape.required

    def _find_etag(self) -> JsonPath:
        """JSON path of the request's etag (AIP-154); empty when it has none."""
        if self.route.verb != "GET":
            if _is_etag(self.shape.by_name.get("etag")):
                return ("etag",)
            # Only where the path names the resource in the body: what is being made has no state to compare.
            named = any(fields[0] is self.body_field for fields in self.bound.values())
            if named and self.body_field and self.resource and _is_etag(self.resource.by_name.get("etag")):
                return (self.body_field.json_name, "etag")
        return ()


def _is_etag(found: FieldShape | None) -> bool:
    return found is not None and found.kind is Kind.STRING and found.single


def reads_in_part(route: Route) -> bool:
    """`fields` may name members of the answer: of a GET that answers one JSON object."""
    return (
        route.verb == "GET"
        and not route.method.server_streaming
        and route.method.response != "google.api.HttpBody"
    )

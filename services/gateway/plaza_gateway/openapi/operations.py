"""One route as an OpenAPI operation."""

from __future__ import annotations

import re
from typing import Any

from plaza_gateway.openapi.constraints import Schema
from plaza_gateway.openapi.parameters import (
    PathNames,
    condition_parameters,
    partial_parameter,
    path_and_parameters,
    query_parameters,
)
from plaza_gateway.openapi.problems import problem
from plaza_gateway.openapi.schemas import Schemas, Side
from plaza_gateway.transcode import partial
from plaza_gateway.transcode.descriptors import Contract
from plaza_gateway.transcode.plans import RequestPlan, reads_in_part
from plaza_gateway.transcode.responses import EVENTS, HTTP_BODY, NDJSON
from plaza_gateway.transcode.routes import Route
from plaza_gateway.transcode.shapes import Kind, Shapes


class Operations:
    """Describes routes; gathers the schemas that they need."""

    def __init__(self, contract: Contract, shapes: Shapes) -> None:
        self._contract = contract
        self._shapes = shapes
        self._names = PathNames(contract.resource_patterns())
        self._ids: set[str] = set()
        self.schemas = Schemas(contract, shapes)

    def describe(self, route: Route) -> tuple[str, dict[str, Any]]:
        """The OpenAPI path and the operation of a route."""
        plan = RequestPlan(route, self._shapes)
        path, parameters = path_and_parameters(plan, self._names, self.schemas)
        parameters += query_parameters(plan, self.schemas)
        parameters += partial_parameter(plan, self._shapes[route.method.response])
        parameters += condition_parameters(plan, self._answers_etag(route))
        operation: dict[str, Any] = {
            "operationId": self._id(route),
            "tags": [route.method.service.rpartition(".")[2].removesuffix("Service")],
            **_prose(self._contract.comment(route.full_name)),
            "parameters": parameters,
            "responses": self._responses(plan),
            "x-plaza-rpc": route.full_name,
            "x-plaza-face": route.face,
        }
        if route.binding.body:
            operation["requestBody"] = self._body(plan)
        if route.anonymous:
            operation["security"] = [{}]
        if route.method.deprecated:
            operation["deprecated"] = True
        return path, operation

    def _id(self, route: Route) -> str:
        """`Library_GetBook`; a further binding of the same method, or a namesake, gets a number."""
        service = route.method.service.rpartition(".")[2].removesuffix("Service")
        base = candidate = f"{service}_{route.method.name}"
        number = 1
        while candidate in self._ids:
            number += 1
            candidate = f"{base}_{number}"
        self._ids.add(candidate)
        return candidate

    def _body(self, plan: RequestPlan) -> Schema:
        if plan.body_field is None:
            schema = self.schemas.object(plan.shape, "input", plan.hidden)
        elif plan.resource is not None:
            side: Side = "patch" if plan.mask_field is not None else "input"
            schema = self.schemas.message(plan.resource.full_name, side)
        else:
            schema = self.schemas.field(plan.body_field, "input")
        return {"required": plan.body_required, "content": {"application/json": {"schema": schema}}}

    def _responses(self, plan: RequestPlan) -> Schema:
        route = plan.route
        responses: Schema = {"200": self._success(route)}
        if self._answers_etag(route) and route.verb == "GET":
            responses["304"] = {"description": "The caller's copy is still good"}
        responses["400"] = problem("The request is wrong, or not possible in the present state")
        if not route.anonymous:
            responses["401"] = problem("No caller, or a token that does not hold")
        responses["403"] = problem("The caller may not do this")
        responses["404"] = problem("There is no such thing, or the caller may not know of it")
        if route.verb != "GET":
            responses["409"] = problem("It exists already, or somebody else was faster")
        if plan.etag_path:
            responses["412"] = problem("It is no longer in the state that If-Match names")
        if route.binding.body:
            responses["408"] = problem("The body did not come in time")
            responses["413"] = problem("The body is too large")
            responses["415"] = problem("The body is not JSON")
        responses["422"] = problem("A rule is broken that this document cannot express")
        responses["429"] = {"$ref": "#/components/responses/QuotaUsedUp"}
        responses["default"] = problem("Anything else that went wrong")
        return responses

    def _success(self, route: Route) -> Schema:
        method = route.method
        if method.response == HTTP_BODY:
            return {"description": "The bytes as they are", "content": {"*/*": {"schema": {}}}}
        schema = self.schemas.message(method.response, "output")
        if method.server_streaming:
            return {"description": "Messages as they come", "content": _stream(schema)}
        text = {"type": "string"}
        headers = {}
        if self._answers_etag(route):
            headers["ETag"] = {"description": "The state of the resource.", "schema": text}
        if route.verb == "GET" and "next_page_token" in self._shapes[method.response].by_name:
            headers["Link"] = {
                "description": 'The next page, `rel="next"`, where there is one.',
                "schema": text,
            }
        return {
            "description": "Success",
            **({"headers": headers} if headers else {}),
            "content": {"application/json": {"schema": schema}, **_partial(route)},
        }

    def _answers_etag(self, route: Route) -> bool:
        if route.method.server_streaming or route.method.response == HTTP_BODY:
            return False
        etag = self._shapes[route.method.response].by_name.get("etag")
        return etag is not None and etag.kind is Kind.STRING and etag.single


def _partial(route: Route) -> Schema:
    if not reads_in_part(route):
        return {}
    text = "The members that `fields` names, as they stand in the whole."
    return {partial.MEDIA_TYPE: {"schema": {"type": "object", "description": text}}}


def _stream(item: Schema) -> Schema:
    lines = 'One JSON object a line. A stream that fails ends with the line `{"error": …}`, a problem.'
    events = "One event a message, its data a JSON object. A stream that fails ends with an event `problem`."
    # `itemSchema` is OpenAPI 3.2; until tools know it, the item stands under the same name as an extension.
    return {
        NDJSON: {"schema": {"type": "string", "description": lines}, "x-item-schema": item},
        EVENTS: {"schema": {"type": "string", "description": events}, "x-item-schema": item},
    }


def _prose(comment: str) -> Schema:
    if not comment:
        return {}
    first = re.split(r"(?<=[.!?。])\s", comment.partition("\n\n")[0].replace("\n", " "), maxsplit=1)[0]
    return {"summary": first.rstrip(".。"), "description": comment}

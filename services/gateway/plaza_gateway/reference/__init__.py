"""The documentation of the interface as pages: made of the OpenAPI document, so that they say what it says."""

from plaza_gateway.reference.routes import reference_router

__all__ = ["reference_router"]

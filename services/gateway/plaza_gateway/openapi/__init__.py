"""OpenAPI 3.1 of the REST face, generated from the protos."""

from plaza_gateway.openapi.document import PathTaken, merge_paths, openapi

__all__ = ["PathTaken", "merge_paths", "openapi"]

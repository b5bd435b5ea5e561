"""REST from the protos: a generic transcoder between HTTP/JSON and gRPC."""

from plaza_gateway.transcode.descriptors import Contract, ContractError, Face
from plaza_gateway.transcode.handler import Transcoder
from plaza_gateway.transcode.problems import Complaint, Problem
from plaza_gateway.transcode.routes import Route

__all__ = ["Complaint", "Contract", "ContractError", "Face", "Problem", "Route", "Transcoder"]

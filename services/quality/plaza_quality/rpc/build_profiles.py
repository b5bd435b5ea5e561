"""Profiles, suggestions and anomalies, as parts of the service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from plaza.quality.v1 import anomalies_pb2_grpc, profiles_pb2_grpc, suggestions_pb2_grpc
from plaza_kit.service import Runtime

from plaza_quality.rpc.anomalies import AnomalyServicer
from plaza_quality.rpc.profile_peers import ContractsPeer
from plaza_quality.rpc.profiles import ProfileServicer
from plaza_quality.rpc.suggestions import SuggestionServicer
from plaza_quality.settings import QualitySettings
from plaza_quality.usecases.ports import World
from plaza_quality.usecases.profile_ports import ProfileWorld
from plaza_quality.usecases.profiles import JOB, MAX_ATTEMPTS, Profiling

SERVICE_NAMES: Final = (
    "plaza.quality.v1.ProfileService",
    "plaza.quality.v1.SuggestionService",
    "plaza.quality.v1.AnomalyService",
)


def registrations(
    settings: QualitySettings, runtime: Runtime, world: World
) -> tuple[Callable[[Any], None], ...]:
    """What puts the services on a server; the job that makes profiles is registered too."""
    around = ProfileWorld(
        world=world,
        contracts=ContractsPeer(runtime.peers, runtime.tokens),
        rows_by_itself=settings.profile_rows,
    )
    runtime.jobs.register(JOB, Profiling(around).make, max_attempts=MAX_ATTEMPTS)
    profiles, suggestions, anomalies = (
        ProfileServicer(around),
        SuggestionServicer(around),
        AnomalyServicer(around),
    )
    return (
        lambda server: profiles_pb2_grpc.add_ProfileServiceServicer_to_server(profiles, server),
        lambda server: suggestions_pb2_grpc.add_SuggestionServiceServicer_to_server(suggestions, server),
        lambda server: anomalies_pb2_grpc.add_AnomalyServiceServicer_to_server(anomalies, server),
    )

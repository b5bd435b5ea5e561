"""The keys of a Plaza in a cluster, made once: `python -m plaza_kit.cluster_keys`, run by a Job of the chart.

Made are a Secret with security's keys, a ConfigMap with the public ones that every service pins, and a Secret with
the key of the console's sessions. Nothing is ever overwritten, and a lost key is never replaced in silence: what it
signed would stand there unverifiable. The objects are not the release's own, so that they outlive it.
"""

from __future__ import annotations

import base64
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from plaza_kit import telemetry
from plaza_kit.cluster_objects import Objects, in_cluster
from plaza_kit.errors import FailedPrecondition, PlazaError
from plaza_kit.settings import BadSettings, load
from plaza_kit.signing import KeyRing, SigningKey

SIGNING_KEY: Final = "signing-key"
LEDGER_KEY: Final = "ledger-key"
CONSOLE_KEY: Final = "console-key"
TRUST_FILE: Final = "trust.json"
_CONSOLE_KEY_BYTES: Final = 32


class KeysLost(FailedPrecondition):
    """What is there does not go together: a key is gone, or another one is in its place."""


class KeySettings(BaseSettings):
    """Names of the objects, and of the keys in them."""

    model_config = SettingsConfigDict(env_prefix="PLAZA_", extra="ignore", frozen=True)

    keys_secret: str = Field(description="name of the Secret with security's keys")
    keys_trust: str = Field(description="name of the ConfigMap with the public keys")
    keys_console: str = Field(description="name of the Secret with the key of the console's sessions")
    keys_issuer: str = Field(
        default="security.plaza.local", description="name of the key that signs grants and policies"
    )
    ledger_origin: str = Field(default="ledger.plaza.local", description="name of the ledger")


def ensure(objects: Objects, settings: KeySettings) -> None:
    """Make what is missing. Raises KeysLost, BadKey, ClusterUnavailable; may run as often as one likes."""
    trusted = objects.find("configmaps", settings.keys_trust)
    held = objects.find("secrets", settings.keys_secret)
    if held is None:
        if trusted is not None:
            raise KeysLost(
                f"there are public keys (ConfigMap {settings.keys_trust}), but their private keys (Secret "
                f"{settings.keys_secret}) are gone",
                remedy="Restore the Secret from its backup. If it is lost, see the runbook on lost keys.",
            )
        made = {
            SIGNING_KEY: SigningKey.generate(settings.keys_issuer).to_text(),
            LEDGER_KEY: SigningKey.generate(settings.ledger_origin).to_text(),
        }
        objects.make("secrets", settings.keys_secret, made)
        # Read again: another run may have been faster, and its keys are the ones.
        held = objects.find("secrets", settings.keys_secret) or {}
    ring = KeyRing([_key(settings, held, SIGNING_KEY).verifying_key])
    _key(settings, held, LEDGER_KEY)
    objects.make("configmaps", settings.keys_trust, {TRUST_FILE: ring.to_json().encode()})
    trusted = objects.find("configmaps", settings.keys_trust) or {}
    if trusted.get(TRUST_FILE) != ring.to_json():
        raise KeysLost(
            f"ConfigMap {settings.keys_trust} does not hold the public key of Secret {settings.keys_secret}",
            remedy="Restore the Secret that belongs to it, or delete the ConfigMap if the key was meant to change.",
        )
    console = base64.b64encode(secrets.token_bytes(_CONSOLE_KEY_BYTES)) + b"\n"
    objects.make("secrets", settings.keys_console, {CONSOLE_KEY: console})


def _key(settings: KeySettings, held: Mapping[str, str], name: str) -> SigningKey:
    place = Path(settings.keys_secret) / name
    return SigningKey.from_text(base64.b64decode(held.get(name, "")), place)


def main() -> None:
    """Exits with a message when it cannot; the Job tries again."""
    try:
        settings = load(KeySettings)
        telemetry.configure("keys")
        ensure(in_cluster("keys"), settings)
    except BadSettings as error:
        sys.exit(f"plaza-keys: {error}")
    except PlazaError as error:
        sys.exit(f"plaza-keys: {error.message}. {error.remedy}")


if __name__ == "__main__":
    main()

"""`agreements/{agreement}` and `agreements/{agreement}/deliveries/{delivery}` (AIP-122), ids are UUIDs."""

from __future__ import annotations

from uuid import UUID

from plaza_kit.errors import NotFound

from plaza_sharing.domain.agreements import AgreementId
from plaza_sharing.domain.deliveries import DeliveryId


class UnknownAgreement(NotFound):
    """There is no such agreement, or the caller is no side of it."""


class UnknownDelivery(NotFound):
    """There is no such delivery, or the caller is no side of its agreement."""


def unknown_agreement(name: str) -> UnknownAgreement:
    return UnknownAgreement(
        f"{name} is not among the agreements that you may see",
        remedy="list the agreements of your department",
    )


def unknown_delivery(name: str) -> UnknownDelivery:
    return UnknownDelivery(
        f"{name} is not among the deliveries that you may see", remedy="list the deliveries of the agreement"
    )


def parse_agreement(name: str) -> AgreementId:
    """Raises UnknownAgreement: what is no UUID names nothing."""
    found = exact_uuid(name.removeprefix("agreements/"))
    if found is None:
        raise unknown_agreement(name)
    return AgreementId(found)


def parse_delivery(name: str) -> tuple[AgreementId, DeliveryId]:
    """Raises UnknownDelivery."""
    agreement, _, delivery = name.removeprefix("agreements/").partition("/deliveries/")
    ids = exact_uuid(agreement), exact_uuid(delivery)
    if ids[0] is None or ids[1] is None:
        raise unknown_delivery(name)
    return AgreementId(ids[0]), DeliveryId(ids[1])


def exact_uuid(text: str) -> UUID | None:
    """The UUID written in its one usual form; None for everything else, other spellings included."""
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text else None

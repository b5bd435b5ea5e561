"""Two words for what goes wrong: wait and it may mend itself, or somebody must change something.

The reason of a condition is the class name, so each cause that a person must tell apart has a class.
"""

from __future__ import annotations


class ReconcileError(Exception):
    """The root; raise a subclass of `TemporaryError` or `PermanentError`. The message is read by people."""

    @property
    def reason(self) -> str:
        """The word in the condition: CamelCase, as Kubernetes wants it."""
        return type(self).__name__


class TemporaryError(ReconcileError):
    """May be over soon: tried again with growing pauses."""


class PermanentError(ReconcileError):
    """Stays until a person acts: tried again by the slow timer only."""


class ApiUnavailable(TemporaryError):
    """The API server does not answer, or asks for patience."""


class Conflict(TemporaryError):
    """Somebody wrote at the same time."""


class NotThereYet(TemporaryError):
    """What a write leans on is not there; somebody takes it away while we build."""


class NotYetAllowed(TemporaryError):
    """Refused by Kubernetes; rights granted a moment ago take a moment to hold."""


class NamespaceTerminating(TemporaryError):
    """The namespace of a former department of this name still goes away."""


class ApiRefused(PermanentError):
    """Kubernetes does not accept what we want to write."""


class NamespaceTaken(PermanentError):
    """The namespace exists and is not this department's."""


class BadDepartment(PermanentError):
    """The resource does not say what a department needs."""


class KeycloakUnavailable(TemporaryError):
    """Keycloak does not answer."""


class KeycloakRefused(PermanentError):
    """Keycloak does not accept the request, or not us."""


class NameTaken(PermanentError):
    """Another organization bears the name already."""


class DatabaseUnavailable(TemporaryError):
    """The exchange database does not answer."""


class DatabaseRefused(PermanentError):
    """The exchange database does not let us."""


class StorageUnavailable(TemporaryError):
    """The storage gateway does not answer."""


class StorageRefused(PermanentError):
    """The storage gateway does not let us."""


class BucketTaken(PermanentError):
    """The bucket belongs to somebody else."""


class StorageKeysMissing(PermanentError):
    """The storage keys are brought by the administrator, and are not there yet."""


class WorkersAuthorityMissing(TemporaryError):
    """The authority of workers' certificates is not where it must be, or is none; a Job makes it."""


class CatalogueUnavailable(TemporaryError):
    """The catalogue does not answer."""


class CatalogueRefused(PermanentError):
    """The catalogue does not accept the entry, or not us."""

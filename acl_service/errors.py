"""What can go wrong in the service, as one tree under :class:`AccessError`."""

from __future__ import annotations


class AccessError(Exception):
    """Root of the access service's errors."""


class MalformedBody(AccessError):
    """A hook's body that does not say what the contract promises: oversized, broken or of wrong types."""


class Overloaded(AccessError):
    """A bounded queue or pool is full; the caller answers at once instead of waiting."""


class ConfigurationError(AccessError):
    """Settings that cannot be served safely; the message names the setting and the remedy."""


class UnknownAsker(AccessError):
    """Nobody to explain: the person or client id is none, or could not be; the message says which would do."""

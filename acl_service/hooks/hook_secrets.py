"""The hook secret: what proves that the caller is our broker."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence

from acl_service.errors import ConfigurationError

MINIMUM_BYTES = 16


class HookSecrets:
    """The secrets that are valid now; several, so that one can be rotated without a gap.

    Args:
        secrets: each at least 16 bytes long.

    Raises:
        ConfigurationError: there is none, or one is too short to resist guessing.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._expected = tuple(b"Bearer " + secret.encode() for secret in secrets)
        if not self._expected:
            raise ConfigurationError(
                "no hook secret: set MCHAT_HOOK_SECRETS or MCHAT_HOOK_SECRETS_FILE (mchat init writes one)"
            )
        if any(len(value) < len(b"Bearer ") + MINIMUM_BYTES for value in self._expected):
            raise ConfigurationError(
                f"MCHAT_HOOK_SECRETS: a secret is shorter than {MINIMUM_BYTES} bytes: choose a longer one"
            )

    def accept(self, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Whether exactly one ``Authorization`` header carries a valid secret; all are compared, in constant time."""
        given: bytes | None = None
        for name, value in headers:
            if name == b"authorization":
                if given is not None:
                    return False
                given = value
        if given is None:
            return False
        accepted = False
        for expected in self._expected:
            accepted |= hmac.compare_digest(given, expected)
        return accepted

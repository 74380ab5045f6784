"""PBKDF2 hashes of other systems, in the modular form `$pbkdf2-sha256$rounds$salt$checksum`."""

import base64
import hashlib
import hmac
import re
from typing import Final

from directory.errors import InvalidValue

_FORM: Final = re.compile(
    r"\$pbkdf2-(sha256|sha512)\$([1-9][0-9]{0,9})\$([A-Za-z0-9./+]{1,172})\$([A-Za-z0-9./+]{22,86})", re.ASCII
)
_MIN_ROUNDS: Final = 1_000
# Each takes about a third of a second on one core of a small server of 2025.
_MAX_ROUNDS: Final = {"sha256": 1_000_000, "sha512": 500_000}


class Pbkdf2Hasher:
    """Checks such hashes and makes none: chosen passwords are hashed with argon2id (decision 10).

    Rounds are bounded, so that a stored row cannot keep a thread busy for minutes.
    """

    @classmethod
    def identify(cls, hash: str | bytes) -> bool:  # noqa: A002 - pwdlib's own signature
        """Tell whether `hash` has this form."""
        return _FORM.fullmatch(_text(hash)) is not None

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        """Refuse: no new hashes are made in this form."""
        raise NotImplementedError("PBKDF2 hashes are only checked, new ones are argon2id")

    @classmethod
    def check_rounds(cls, hash: str | bytes) -> None:  # noqa: A002
        """Refuse a hash of this form by its rounds alone, without hashing.

        Raises:
            InvalidValue: Fewer than 1,000 rounds; more than 1,000,000 of SHA-256 or 500,000 of SHA-512.
        """
        form = _FORM.fullmatch(_text(hash))
        if form is None:
            return
        algorithm, rounds = form[1], int(form[2])
        if not _MIN_ROUNDS <= rounds <= _MAX_ROUNDS[algorithm]:
            raise InvalidValue(
                f"a PBKDF2 hash of {rounds} rounds of {algorithm} is not allowed: {_MIN_ROUNDS} to "
                f"{_MAX_ROUNDS[algorithm]}; let the person set a password anew"
            )

    def verify(self, password: str | bytes, hash: str | bytes) -> bool:  # noqa: A002
        """Check `password` in constant time.

        Raises:
            ValueError: The salt or the checksum is no base64.
            InvalidValue: The hash asks for too few or too many rounds.
        """
        form = _FORM.fullmatch(_text(hash))
        if form is None:
            return False
        self.check_rounds(hash)
        algorithm, rounds = form[1], int(form[2])
        checksum = _decoded(form[4])
        if len(checksum) != hashlib.new(algorithm).digest_size:
            return False
        raw = password.encode() if isinstance(password, str) else password
        return hmac.compare_digest(hashlib.pbkdf2_hmac(algorithm, raw, _decoded(form[3]), rounds), checksum)

    def check_needs_rehash(self, hash: str | bytes) -> bool:  # noqa: A002
        """Say that every such hash is out of date."""
        return True


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _decoded(value: str) -> bytes:
    # This form's base64 writes . for + and leaves the padding out.
    standard = value.replace(".", "+")
    return base64.b64decode(standard + "=" * (-len(standard) % 4))

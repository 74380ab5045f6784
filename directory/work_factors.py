"""How much work a stored password hash may ask for: told from its parameters, without hashing.

The broker waits a second for the answer to a connect. A hash that takes half of it logs nobody in, and
keeps a thread of the pool from everybody else, so it is refused when it is imported, and again before it is
checked. What is allowed takes up to a third of a second on one core of a small server of 2025.
"""

import re
from typing import Final

from directory.errors import InvalidValue
from directory.pbkdf2 import Pbkdf2Hasher

MAX_BCRYPT_COST: Final = 12
"""The binary logarithm of bcrypt's rounds; what most libraries take, twice the time each step."""

MAX_ARGON2_WORK: Final = 262_144
"""KiB of memory times passes: four passes over 64 MiB, or one over 256 MiB."""

MAX_ARGON2_LANES: Final = 16
"""Lanes of argon2, each a thread while it is checked."""

_ARGON2: Final = re.compile(
    r"\$argon2(?:id|i|d)\$(?:v=\d{1,3}\$)?m=(\d{1,10}),t=(\d{1,10}),p=(\d{1,8})"
    r"\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+",
    re.ASCII,
)
_BCRYPT: Final = re.compile(r"\$2[abxy]\$(\d{2})\$[A-Za-z0-9./]{53}", re.ASCII)
_REMEDY: Final = "let the person set a password anew"


def check_work(password_hash: str) -> None:
    """Refuse a hash that cannot be checked in time; no part of it but its kind and numbers is shown.

    Raises:
        InvalidValue: bcrypt of a cost over 12, argon2 over `MAX_ARGON2_WORK` or `MAX_ARGON2_LANES`, PBKDF2
            outside its rounds (`directory.pbkdf2`), a hash of another kind, or a damaged one.
    """
    kind = password_hash[1:].split("$")[0] if password_hash.startswith("$") else "without a name"
    if kind.startswith("argon2"):
        _check_argon2(password_hash)
    elif kind.startswith("2"):
        _check_bcrypt(password_hash)
    elif kind in ("pbkdf2-sha256", "pbkdf2-sha512"):
        if not Pbkdf2Hasher.identify(password_hash):
            raise _damaged(kind)
        Pbkdf2Hasher.check_rounds(password_hash)
    else:
        raise InvalidValue(
            f"a password hash of kind {kind[:20]!r} is not known: "
            f"argon2, bcrypt, pbkdf2-sha256, pbkdf2-sha512; else {_REMEDY}"
        )


def _check_argon2(password_hash: str) -> None:
    form = _ARGON2.fullmatch(password_hash)
    if form is None:
        raise _damaged("argon2")
    memory, passes, lanes = (int(number) for number in form.groups())
    if memory * passes > MAX_ARGON2_WORK:
        raise InvalidValue(
            f"an argon2 hash of {memory} KiB and {passes} passes takes too long to check: at most "
            f"{MAX_ARGON2_WORK} KiB times passes are allowed; {_REMEDY}"
        )
    if lanes > MAX_ARGON2_LANES:
        raise InvalidValue(
            f"an argon2 hash of {lanes} lanes takes too many threads to check: at most {MAX_ARGON2_LANES} are "
            f"allowed; {_REMEDY}"
        )


def _check_bcrypt(password_hash: str) -> None:
    form = _BCRYPT.fullmatch(password_hash)
    if form is None:
        raise _damaged("bcrypt")
    cost = int(form[1])
    if cost > MAX_BCRYPT_COST:
        raise InvalidValue(
            f"a bcrypt hash of cost {cost} takes too long to check: at most {MAX_BCRYPT_COST} is allowed; "
            f"{_REMEDY}"
        )


def _damaged(kind: str) -> InvalidValue:
    return InvalidValue(f"the {kind} password hash is damaged or cut short: {_REMEDY}")

"""Tokens and passwords."""

import base64
import hashlib
import re
import time

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from directory.errors import InvalidValue
from directory.secret import (
    decoy_hash,
    hash_password,
    is_jwt_shaped,
    new_token,
    token_digest,
    verify_password,
)

PASSWORD = "correct 马 battery"


def _pbkdf2(password: str, algorithm: str = "sha256", rounds: int = 1_000, salt: bytes = b"salt" * 4) -> str:
    def encoded(raw: bytes) -> str:
        return base64.b64encode(raw).decode().rstrip("=").replace("+", ".")

    checksum = hashlib.pbkdf2_hmac(algorithm, password.encode(), salt, rounds)
    return f"$pbkdf2-{algorithm}${rounds}${encoded(salt)}${encoded(checksum)}"


def test_tokens_have_their_shape_and_never_repeat() -> None:
    tokens = {new_token() for _ in range(1_000)}
    assert len(tokens) == 1_000
    assert all(re.fullmatch(r"mct_[A-Za-z0-9_-]{32}", token) for token in tokens)


def test_a_tokens_digest_is_its_sha256() -> None:
    assert token_digest("mct_x") == hashlib.sha256(b"mct_x").hexdigest()


def test_a_password_is_hashed_with_argon2id_and_checked() -> None:
    hashed = hash_password(PASSWORD)
    assert hashed.startswith("$argon2id$")
    assert hashed != hash_password(PASSWORD)
    assert verify_password(PASSWORD, hashed)
    assert not verify_password(PASSWORD + " ", hashed)


@pytest.mark.parametrize("password", ["1234567", "x" * 1025, "é" * 513, "12345678\0", "\ud800" * 8])
def test_a_password_outside_the_limits_is_refused_and_not_shown(password: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        hash_password(password)
    assert password not in str(caught.value)


@pytest.mark.parametrize("password", ["mct_anything at all", "eyJhbGciOiJ9.eyJzdWIi.c2ln", "aaa.bbb.ccc"])
def test_a_password_that_would_be_taken_for_something_else_is_refused(password: str) -> None:
    with pytest.raises(InvalidValue, match="looks like"):
        hash_password(password)


@pytest.mark.parametrize("secret", ["a.b.c", "eyJ.eyJ."])
def test_three_segments_are_the_shape_of_a_jwt(secret: str) -> None:
    assert is_jwt_shaped(secret)
    assert not is_jwt_shaped(f"{secret}.d")
    assert not is_jwt_shaped(f"{secret} ")


def test_a_bcrypt_hash_is_checked_as_it_was_made() -> None:
    long = "p" * 100
    hashed = bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(4)).decode()
    assert verify_password(long, hashed)
    assert not verify_password("q" * 100, hashed)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_pbkdf2_hash_is_checked(algorithm: str) -> None:
    hashed = _pbkdf2(PASSWORD, algorithm)
    assert verify_password(PASSWORD, hashed)
    assert not verify_password("another password", hashed)


def test_a_pbkdf2_hash_made_by_passlib_is_checked() -> None:
    # One of the vectors that passlib tests itself with.
    hashed = "$pbkdf2-sha256$1212$4vjV83LKPjQzk31VI4E0Vw$hsYF68OiOUPdDZ1Fg.fJPeq1h/gXXY7acBp9/6c.tmQ"
    assert verify_password("password", hashed)
    assert not verify_password("passwore", hashed)


@pytest.mark.parametrize("rounds", [999, 1_000_001, 4_000_000_000])
def test_a_pbkdf2_hash_that_asks_for_too_little_or_too_much_work_is_refused(rounds: int) -> None:
    began = time.monotonic()
    with pytest.raises(InvalidValue, match=str(rounds)):
        verify_password(PASSWORD, _pbkdf2(PASSWORD).replace("$1000$", f"${rounds}$"))
    assert time.monotonic() - began < 0.1


@pytest.mark.parametrize(
    "hashed",
    ["", "plain", "$1$salt$hash", "$2b$04$short", "$argon2id$v=19$broken", "$pbkdf2-sha256$1000$x$short"],
)
def test_a_hash_of_no_known_kind_is_told_without_showing_it(hashed: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        verify_password(PASSWORD, hashed)
    assert hashed == "" or hashed not in str(caught.value)


def test_a_damaged_pbkdf2_hash_is_told() -> None:
    damaged = _pbkdf2(PASSWORD).replace("$c2Fsd", "$c2Fsd" + "A" * 3, 1)
    with pytest.raises(InvalidValue, match="damaged"):
        verify_password(PASSWORD, damaged)


@pytest.mark.parametrize("password", ["x" * 1025, "12345678\0", "\ud800" * 8])
def test_what_no_password_can_be_is_refused_before_hashing(password: str) -> None:
    hashed = decoy_hash()
    began = time.process_time()
    for _ in range(100):
        assert not verify_password(password, hashed)
    assert time.process_time() - began < 0.1


def test_the_decoy_costs_what_a_hash_costs_and_fits_nobody() -> None:
    assert decoy_hash() == decoy_hash()
    assert decoy_hash().rsplit("$", 2)[0] == hash_password(PASSWORD).rsplit("$", 2)[0]
    assert not verify_password(PASSWORD, decoy_hash())


@given(st.text(min_size=4, max_size=40))
@settings(max_examples=5, deadline=None)
def test_what_was_hashed_is_verified(password: str) -> None:
    try:
        hashed = hash_password(password)
    except InvalidValue:
        return
    assert verify_password(password, hashed)

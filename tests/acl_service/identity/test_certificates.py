"""Whom a certificate names, by what EMQX says of it."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from acl_service.errors import ConfigurationError
from acl_service.identity.certificates import (
    ATTRIBUTES,
    MAX_SUBJECT,
    NO_CERTIFICATE,
    Certificate,
    Certificates,
    PeerCertificate,
)
from acl_service.verdict import Refusal
from tests.acl_service.identity.certificate_authority import client_certificate, der, emqx_subject

BY_CN = Certificates(["tls", "tls2"])
BY_UID = Certificates(["tls"], "UID")
ALICE = Certificate("alice", None)


def cn(common_name: str, subject: str = "", zone: str = "tls", pem: str = "") -> PeerCertificate:
    return PeerCertificate(zone, common_name, subject, pem)


def uid(subject: str, common_name: str = "x") -> Certificate | Refusal:
    return BY_UID.read(cn(common_name, subject))


def test_the_common_name_is_the_employee() -> None:
    assert BY_CN.read(cn("alice")) == ALICE
    assert BY_CN.read(cn("alice", "CN=alice")) == ALICE
    assert BY_CN.read(cn("alice", "CN=alice,OU=Sales\\, Europe,O=\\C3\\84rzte,C=DE", "tls2")) == ALICE
    assert BY_CN.read(cn("alice", "EMAILADDRESS=a@b.example,SERIALNUMBER=7,1.2.3.4=x,CN=alice")) == ALICE
    assert Certificates(["tls"], "2.5.4.3").read(cn("alice")) == ALICE


@pytest.mark.parametrize("zone", ["", "default", "TLS", "tls ", "tls,tls2", "${zone}", "tls3", "tl"])
def test_certificates_count_in_the_named_zones_only(zone: str) -> None:
    assert BY_CN.read(cn("alice", "CN=alice", zone)) is NO_CERTIFICATE
    assert BY_CN.read(cn("alice", "CN=alice", "tls")) == ALICE
    assert Certificates([]).read(cn("alice", "CN=alice", "")) is NO_CERTIFICATE


def test_a_connection_without_a_certificate_has_none() -> None:
    assert BY_CN.read(cn("")) is NO_CERTIFICATE
    assert isinstance(BY_CN.read(cn("", "CN=alice")), Refusal)


@pytest.mark.parametrize(
    "name", ["alice,bob", "alice+UID=x", "alice\0", "alice\n", " alice", "alice ", "al/ice", "#", "-a", "a" * 65,
             "аlice", "alice@here", "CN=alice", "${cert_common_name}", "{utf8String,<<97>>}", "älice"],
)  # fmt: skip
def test_a_common_name_that_is_no_employee_id_names_nobody(name: str) -> None:
    assert isinstance(BY_CN.read(cn(name)), Refusal)
    assert isinstance(BY_CN.read(cn(name, emqx_subject([("CN", name)]))), Refusal)


@pytest.mark.parametrize(
    "subject",
    ["CN=bob", "CN=alice,CN=alice", "CN=alice,CN=bob", "CN=bob,CN=alice", "CN=alice+OU=x", "OU=x+CN=alice", "O=alice",
     "UID=alice", "cn=alice", "CN=alice,", ",CN=alice", "CN=", "CN", "CN=alice,X=y", "CN=alice,O=\\", "CN=alice\\",
     "CN=alice,O=\\zz", "CN=alice,O=\\FF", "CN=alice,C=Germany", "CN=alice;O=x", "CN=alice/O=x", "${cert_subject}",
     "2.5.4.3=bob", "CN=alice,2.5.4.3=bob", "CN=alice,O=x\0", "CN= alice", "CN=alice\\ ", "CN=alice\\,O=x",
     "CN=alice,OU=" + "x" * MAX_SUBJECT],
    ids=lambda subject: subject[:24],
)  # fmt: skip
def test_a_subject_that_does_not_say_the_same_once_is_refused(subject: str) -> None:
    assert isinstance(BY_CN.read(cn("alice", subject)), Refusal)


def test_the_limit_of_a_subject_is_where_it_is_said() -> None:
    subject = "CN=alice,OU="
    assert BY_CN.read(cn("alice", subject + "x" * (MAX_SUBJECT - len(subject)))) == ALICE


@pytest.mark.parametrize("attribute", ["UID", "0.9.2342.19200300.100.1.1"])
def test_another_attribute_may_hold_the_employee_id(attribute: str) -> None:
    reader = Certificates(["tls"], attribute)
    assert reader.read(cn("Alice Doe", "UID=alice,CN=Alice Doe")) == ALICE
    assert reader.read(cn("", "UID=alice")) == ALICE
    assert reader.read(cn("alice", "CN=alice")) == Refusal(
        "certificate", "the certificate's subject does not name exactly one employee id"
    )
    assert isinstance(reader.read(cn("alice")), Refusal), "the broker sends no subject: nothing to go by"


@pytest.mark.parametrize(
    "subject", ["UID=alice,UID=alice", "UID=alice,UID=bob", "UID=alice+CN=x", "CN=x+UID=alice", "CN=UID\\=alice",
                "CN=x\\,UID=alice", "CN=x\\+UID=alice", 'CN="x,UID=alice"', "CN=#41,UID=a/b", "UID=", "O=UID=alice",
                "uid=alice", "OU=x,CN=\\,UID\\=alice", "UID= alice"],
)  # fmt: skip
def test_what_looks_like_the_attribute_within_another_is_none(subject: str) -> None:
    assert isinstance(uid(subject), Refusal)
    assert uid("UID=alice,CN=x") == ALICE


@pytest.mark.parametrize("attribute", [name for name in ATTRIBUTES if name != "CN"])
def test_each_short_name_that_emqx_writes_is_known(attribute: str) -> None:
    value = "DE" if attribute == "C" else "alice"
    found = Certificates(["tls"], attribute).read(cn("x", f"CN=x,{attribute}={value}"))
    assert found == Certificate(value, None)


@pytest.mark.parametrize(
    "attribute", ["", "cn", "commonName", "CN,UID", "1", "1.", "3.5.4.3", "1.2.x", "2.5.4.03", "1.99.1"]
)
def test_an_attribute_that_does_not_exist_is_a_mistake(attribute: str) -> None:
    with pytest.raises(ConfigurationError, match="MCHAT_CERTIFICATE_FIELD"):
        Certificates(["tls"], attribute)


def test_the_fingerprint_is_that_of_the_der() -> None:
    certificate = client_certificate()
    expected = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
    pem = base64.b64encode(certificate.public_bytes(Encoding.PEM)).decode()
    for sent in (der(certificate), pem):
        assert BY_CN.read(cn("alice", pem=sent)) == Certificate("alice", expected)


@pytest.mark.parametrize(
    "pem",
    ["", "x", "====", "QUJD\n", "QUJ D", "ÄÖÜ", base64.b64encode(b"-----BEGIN CERTIFICATE-----\nx").decode()],
)
def test_what_is_no_certificate_has_no_fingerprint(pem: str) -> None:
    assert BY_CN.read(cn("alice", pem=pem)) == ALICE


@given(
    st.text(max_size=200) | st.from_regex(r"(CN|UID|O|1\.2\.3)=[^\n]{0,40}(,|\+|;)?.*"), st.text(max_size=80)
)
@settings(max_examples=500, deadline=None)
def test_whatever_is_sent_nothing_is_raised_and_nobody_else_is_named(subject: str, common_name: str) -> None:
    for given_name in (common_name, "alice"):
        found = BY_CN.read(cn(given_name, subject))
        assert isinstance(found, Refusal) or found.employee_id == given_name
    by_uid = uid(subject)
    assert isinstance(by_uid, Refusal) or f"UID={by_uid.employee_id}" in subject or "0.9.2342" in subject


NAMES = st.sampled_from(("CN", "UID", "O", "OU", "L", "1.2.3.4"))
VALUES = st.text(
    st.sampled_from('alicebob,+=#;"<>\\ \0ä') | st.characters(exclude_categories=["Cs"]),
    min_size=1,
    max_size=20,
)


@given(
    st.lists(
        st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=3, unique_by=lambda pair: pair[0]), max_size=5
    )
)
@settings(max_examples=500, deadline=None)
def test_a_subject_that_emqx_wrote_names_whom_the_certificate_names(
    rdns: list[list[tuple[str, str]]],
) -> None:
    """Against the list that it was written from: no value of one attribute can pass for another attribute."""
    alone = [value for rdn in rdns if len(rdn) == 1 for name, value in rdn if name == "UID"]
    count = sum(name == "UID" for rdn in rdns for name, _ in rdn)
    found = uid(emqx_subject(*rdns))
    if isinstance(found, Certificate):
        assert count == 1
        assert [found.employee_id] == alone


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_as_a_certificate_are_no_fault(raw: bytes) -> None:
    for sent in (base64.b64encode(raw).decode(), raw.decode("latin-1")):
        found = BY_CN.read(cn("alice", pem=sent))
        assert isinstance(found, Certificate)
        assert found.employee_id == "alice"

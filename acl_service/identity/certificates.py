"""Client certificates: whom the subject names, where the broker has verified it (design.md, "Identity").

The broker speaks TLS; MChat is told the common name, the subject and, where the broker's template asks for it,
the certificate itself (contract 1.2). Listeners that do not demand a certificate send those fields all the same,
of whatever a client shows them; so only the zones that a setting names are believed.
"""

from __future__ import annotations

import binascii
import hashlib
import re
import ssl
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from acl_service.errors import ConfigurationError
from acl_service.verdict import Refusal
from directory.ids import is_id

MAX_SUBJECT: Final = 4096
"""Characters of a subject that are read."""

ATTRIBUTES: Final = {
    "CN": NameOID.COMMON_NAME,
    "SN": NameOID.SURNAME,
    "GIVENNAME": NameOID.GIVEN_NAME,
    "INITIALS": NameOID.INITIALS,
    "GENERATIONQUALIFIER": NameOID.GENERATION_QUALIFIER,
    "L": NameOID.LOCALITY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "TITLE": NameOID.TITLE,
    "C": NameOID.COUNTRY_NAME,
    "SERIALNUMBER": NameOID.SERIAL_NUMBER,
    "PSEUDONYM": NameOID.PSEUDONYM,
    "DC": NameOID.DOMAIN_COMPONENT,
    "EMAILADDRESS": NameOID.EMAIL_ADDRESS,
    "STREET": NameOID.STREET_ADDRESS,
    "UID": NameOID.USER_ID,
}
"""The short names that EMQX writes into a subject; it writes other attributes by their dotted OID."""

_OID: Final = re.compile(r"[0-2](\.(0|[1-9][0-9]{0,9}))+", re.ASCII)
_PEM: Final = b"-----BEGIN CERTIFICATE-----"

NO_CERTIFICATE: Final = Refusal("credential", "no secret was given, and no certificate that counts here")
_UNCLEAR: Final = Refusal("certificate", "the certificate's subject does not name exactly one employee id")
_DISAGREE: Final = Refusal("certificate", "the certificate's common name and subject do not agree")


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """What the broker says of a connection's certificate; what it does not say is empty.

    Attributes:
        zone: of the listener.
        common_name: of the subject.
        subject: the whole subject, as RFC 4514 writes it.
        pem: the certificate in base64: its DER, or the text of its PEM.
    """

    zone: str = ""
    common_name: str = ""
    subject: str = ""
    pem: str = ""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that the broker has verified.

    Attributes:
        employee_id: whom it names.
        fingerprint: SHA-256 of its DER, 64 hex digits; None where the broker does not send it.
    """

    employee_id: str
    fingerprint: str | None


class Certificates:
    """Reads what the broker says of certificates.

    Args:
        zones: the zones whose listeners demand and verify certificates.
        attribute: of the subject, which names the employee: a short name or a dotted OID.

    Raises:
        ConfigurationError: there is no such attribute.
    """

    def __init__(self, zones: Collection[str], attribute: str = "CN") -> None:
        oid = ATTRIBUTES.get(attribute)
        if oid is None and _OID.fullmatch(attribute):
            oid = _object_identifier(attribute)
        if oid is None:
            raise ConfigurationError(
                f"MCHAT_CERTIFICATE_FIELD: {attribute!r} is neither a dotted OID nor one of "
                + ", ".join(ATTRIBUTES)
            )
        self._zones = frozenset(zones)
        self._attribute = oid

    def read(self, given: PeerCertificate) -> Certificate | Refusal:
        """Whom a certificate names, or why it is refused."""
        if given.zone not in self._zones or not (given.common_name or given.subject):
            return NO_CERTIFICATE
        named = given.common_name
        if given.subject or self._attribute != NameOID.COMMON_NAME:
            found = _value(given.subject, self._attribute)
            if found is None:
                return _UNCLEAR
            if self._attribute == NameOID.COMMON_NAME and found != named:
                return _DISAGREE
            named = found
        return Certificate(named, _fingerprint(given.pem)) if is_id(named) else _UNCLEAR


def _value(subject: str, attribute: x509.ObjectIdentifier) -> str | None:
    """The attribute's value; None unless it is there once, in a part of the name of its own."""
    if len(subject) > MAX_SUBJECT:
        return None
    try:
        name = x509.Name.from_rfc4514_string(subject, ATTRIBUTES)
    except (ValueError, OverflowError):
        return None
    holding = [rdn for rdn in name.rdns if rdn.get_attributes_for_oid(attribute)]
    if len(holding) != 1 or len(holding[0]) != 1:
        return None
    value = next(iter(holding[0])).value
    return value if isinstance(value, str) else None


def _fingerprint(pem: str) -> str | None:
    """SHA-256 of the certificate's DER, or None for what is no certificate in base64."""
    try:
        raw = binascii.a2b_base64(pem.encode("ascii"), strict_mode=True)
        der = ssl.PEM_cert_to_DER_cert(raw.decode("ascii")) if raw.startswith(_PEM) else raw
    except ValueError:
        return None
    return hashlib.sha256(der).hexdigest() if der else None


def _object_identifier(dotted: str) -> x509.ObjectIdentifier | None:
    try:
        return x509.ObjectIdentifier(dotted)
    except ValueError:
        return None

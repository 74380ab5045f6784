"""Certificates made on the spot, for tests: of servers, and of clients as EMQX tells of them."""

import base64
import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

BEGINS = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
ENDS = datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC)


@cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _signed(subject: x509.Name, *extensions: x509.ExtensionType, key: Any = None) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key((key or _key()).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGINS)
        .not_valid_after(ENDS)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key or _key(), hashes.SHA256())


def server_context(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """TLS of a server of that name, and the file of the authority that vouches for it: itself."""
    folder.mkdir(exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        shown: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        shown = x509.DNSName(name)
    certificate = _signed(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
        x509.SubjectAlternativeName([shown]),
        x509.BasicConstraints(ca=True, path_length=None),
        key=key,
    )
    ca_file, key_file = folder / "ca.pem", folder / "key.pem"
    ca_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, key_file)
    return context, ca_file


def client_certificate(name: str = "alice") -> x509.Certificate:
    """A client's certificate; another one at each call."""
    return _signed(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))


def der(certificate: x509.Certificate) -> str:
    """As EMQX renders ``${cert_pem}``: the base64 of the DER."""
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()


def emqx_subject(*rdns: Sequence[tuple[str, str]]) -> str:
    """A subject as EMQX writes it: RFC 4514, the last part first, bytes outside printable ASCII as hex pairs.

    Args:
        rdns: the parts of the name in the certificate's order, each of one or more (short name, value).
    """
    parts = ["+".join(f"{attribute}={_escaped(value)}" for attribute, value in rdn) for rdn in rdns]
    return ",".join(reversed(parts))


def _escaped(value: str) -> str:
    raw = value.encode()
    written = []
    for position, byte in enumerate(raw):
        character = chr(byte)
        if character in '"+,;<>\\' or (position == 0 and character in " #"):
            written.append("\\" + character)
        elif position == len(raw) - 1 and character == " ":
            written.append("\\ ")
        elif byte < 32 or byte >= 126:
            written.append(f"\\{byte:02X}")
        else:
            written.append(character)
    return "".join(written)

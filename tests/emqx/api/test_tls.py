import ssl
from pathlib import Path

import pytest
from pydantic import ValidationError

from emqx.api.broker import BrokerApi
from emqx.api.errors import ApiSettingsError, Unreachable
from tests.emqx.api.certificates import Certificates
from tests.emqx.api.conftest import api_settings
from tests.emqx.api.server import answers, serving

NODES = [{"node": "n", "version": "5.8.9", "node_status": "running"}]


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


async def test_the_certificate_is_verified(certificates: Certificates) -> None:
    async with serving(answers(200, NODES), tls=certificates.server_side()) as server:
        async with BrokerApi(api_settings(server.url, ca_file=certificates.authority)) as api:
            assert await api.nodes.all()
        async with BrokerApi(api_settings(server.url)) as api:
            with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
                await api.nodes.all()
        assert len(server.seen) == 1
        other_name = server.url.replace("127.0.0.1", "localhost")
        async with BrokerApi(api_settings(other_name, ca_file=certificates.authority)) as api:
            with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
                await api.nodes.all()


async def test_older_tls_is_refused(certificates: Certificates) -> None:
    old = certificates.server_side()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(answers(200, NODES), tls=old) as server:
        async with BrokerApi(api_settings(server.url, ca_file=certificates.authority)) as api:
            with pytest.raises(Unreachable, match="no connection to https"):
                await api.nodes.all()
        assert not server.seen


async def test_our_certificate_is_shown_where_it_is_asked_for(certificates: Certificates) -> None:
    asking = certificates.server_side()
    asking.load_verify_locations(certificates.authority)
    asking.verify_mode = ssl.CERT_REQUIRED
    certificate, key = certificates.issue("client")
    async with serving(answers(200, NODES), tls=asking) as server:
        shown = api_settings(
            server.url,
            ca_file=certificates.authority,
            client_certificate_file=certificate,
            client_key_file=key,
        )
        async with BrokerApi(shown) as api:
            assert await api.nodes.all()
        async with BrokerApi(api_settings(server.url, ca_file=certificates.authority)) as api:
            with pytest.raises(Unreachable):
                await api.nodes.all()
        assert len(server.seen) == 1


def test_certificates_that_are_none(certificates: Certificates, tmp_path: Path) -> None:
    certificate, key = certificates.issue("client")
    locked = certificates.issue("locked", b"password")
    (tmp_path / "text").write_text("nothing", encoding="utf-8")
    https = "https://127.0.0.1"
    for values, words in (
        ({"ca_file": tmp_path / "none"}, "MCHAT_EMQX_CA_FILE=.*No such file"),
        ({"ca_file": tmp_path / "text"}, "MCHAT_EMQX_CA_FILE=.*give a PEM file of authorities"),
        ({"client_certificate_file": tmp_path / "none"}, "CLIENT_CERTIFICATE_FILE=.*No such file"),
        (
            {"client_certificate_file": certificate, "client_key_file": locked[1]},
            ": the key is encrypted; give PEM files",
        ),
        ({"client_certificate_file": locked[0], "client_key_file": key}, "PEM files of one pair"),
    ):
        with pytest.raises(ApiSettingsError, match=words):
            BrokerApi(api_settings(https, **values))
    with pytest.raises(ValidationError, match="CLIENT_KEY_FILE without MCHAT_EMQX_CLIENT_CERTIFICATE_FILE"):
        api_settings(https, client_key_file=key)


async def test_what_emqx_had_nothing_of_is_sent_once_more(certificates: Certificates) -> None:
    """The first connection ends before TLS stands, so even a kick cannot have happened."""
    async with serving(answers(204), tls=certificates.server_side(), refusals=1) as server:
        async with BrokerApi(api_settings(server.url, ca_file=certificates.authority)) as api:
            assert await api.clients.kick("c1") is True
        assert [seen.connection for seen in server.seen] == [2]
    async with serving(answers(204), tls=certificates.server_side(), refusals=2) as server:
        async with BrokerApi(api_settings(server.url, ca_file=certificates.authority)) as api:
            with pytest.raises(Unreachable, match="no connection to https"):
                await api.clients.kick("c1")
        assert server.connections == 2

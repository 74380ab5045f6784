import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emqx.api.broker import BrokerApi
from emqx.api.errors import ApiError, Broken, Rejected
from emqx.api.objects import ConfiguredObject
from emqx.api.secrecy import LONGEST_MESSAGE, MASK, masked, said, secrets_in, secrets_in_text
from tests.emqx.api.conftest import api_settings
from tests.emqx.api.server import answers, serving

HOOK = "Bearer 0123456789abcdef"
BODY = {
    "mechanism": "password_based",
    "url": "http://127.0.0.1/authn",
    "headers": {"content-type": "application/json", "authorization": HOOK},
    "body": {"password": "${password}", "username": "${username}"},
    "ssl": {"enable": False, "password": "of-the-key"},
}


def test_secrets_are_masked_and_the_rest_stays() -> None:
    shown = masked(BODY)
    assert shown == BODY | {
        "headers": {"content-type": "application/json", "authorization": MASK},
        "ssl": {"enable": False, "password": MASK},
    }
    assert set(secrets_in(BODY)) == {HOOK, "of-the-key"}


def test_lists_under_a_telling_name_are_looked_into() -> None:
    assert masked({"api_keys": ["k1"], "authentication": [{"mechanism": "jwt", "secret": "s"}]}) == {
        "api_keys": ["k1"],
        "authentication": [{"mechanism": "jwt", "secret": MASK}],
    }


def test_secrets_of_hocon_are_found() -> None:
    hocon = 'connectors.http.x { headers { authorization = "Bearer abcd" }, ssl { password = plain } }'
    assert list(secrets_in_text(hocon)) == ["Bearer abcd", "plain"]


def test_ordinary_words_stay() -> None:
    for words in (
        "Authenticator 'password_based:http' already exist",
        "No positions are specified for authenticators: password_based:http",
        '{"reason":"required_field","path":"root.url","matched_type":"authn:http_post"}',
        '{"value":"abc","reason":"Not a valid duration","path":"root.request_timeout"}',
        "Cannot delete action while active rules are depending on it",
    ):
        assert said(words) == words


@pytest.mark.parametrize(
    "words",
    [
        '<<"authorization">> => <<"Bearer 0123456789abcdef">>',
        "{'authorization': 'Bearer 0123456789abcdef'}",
        'authorization = "Bearer 0123456789abcdef"',
        "Authorization: Bearer 0123456789abcdef",
        '{"message":"x","password":"0123456789abcdef"}',
        "x_api_key=0123456789abcdef,y",
    ],
)
def test_a_secret_that_we_did_not_send_is_known_by_its_name(words: str) -> None:
    assert "0123456789abcdef" not in said(words)


def test_dumps_of_state_are_left_out_and_words_are_bounded() -> None:
    assert said('throw, {emqx_conf_schema,[#{kind => x,path => "mqtt"}]}, [{hocon_tconf,assert}]') == (
        'throw, {emqx_conf_schema,[#{kind => x,path => "mqtt"}]} …'
    )
    assert said('reason => bad,value => [#{<<"url">> => 1}]') == "reason => bad …"
    assert len(said("x " * 1_000)) == LONGEST_MESSAGE
    assert said("a\r\n\tb") == "a b"


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=40).filter(
    lambda text: len(text.strip()) >= 8 and not text.startswith("${")
)


@given(TEXTS, st.sampled_from(["plain", "json", "json twice", "erlang"]))
@example("Bearer a\"b\\c'd", "json twice")
def test_a_secret_of_the_request_never_comes_out(secret: str, quoting: str) -> None:
    once = json.dumps(secret, ensure_ascii=False)
    twice = json.dumps(once, ensure_ascii=False)
    form = {"plain": secret, "json": once, "json twice": twice, "erlang": f"<<{once}>>"}[quoting]
    secrets = tuple(secrets_in({"headers": {"authorization": secret}}))
    shown = said(f"bad value ({form}) of root.headers", secrets)
    for part in (secret, once[1:-1], twice[3:-3], *(word for word in secret.split() if len(word) >= 8)):
        assert part not in shown


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (400, {"code": "BAD_REQUEST", "message": f"value {HOOK!r} is none"}),
        (400, {"code": "BAD_REQUEST", "message": f"value {HOOK.split()[1]} is none"}),
        (400, {"code": HOOK, "message": [HOOK]}),
        (500, {"code": "INTERNAL_ERROR", "message": f"error, function_clause, [{{x,[<<{HOOK}>>]}}]"}),
        (409, {"code": "ALREADY_EXISTS", "message": HOOK}),
        (404, {"code": "NOT_FOUND", "message": HOOK}),
        (200, {"id": HOOK}),
        (200, HOOK.encode()),
    ],
)
async def test_no_error_holds_the_secret_that_was_sent(status: int, answer: object) -> None:
    async with serving(answers(status, answer)) as server, BrokerApi(api_settings(server.url)) as api:
        with pytest.raises(ApiError) as raised:
            await api.authentication.create(BODY)
        assert "0123456789abcdef" not in f"{raised.value} {raised.value!r} {vars(raised.value)}"
        assert HOOK.encode() in server.seen[0].body
    assert "0123456789abcdef" not in repr(api.state)


@pytest.mark.parametrize(
    ("hocon", "told"),
    [
        # The value of a name that tells nothing, where EMQX says values; a secret by its name, anywhere.
        ("x { header = 0123456789abcdef }", {"reason": "bad", "value": {"header": "0123456789abcdef"}}),
        ("x { token = 0123456789abcdef }", {"reason": "bad thing: 0123456789abcdef"}),
    ],
)
async def test_a_bad_value_of_hocon_is_not_repeated(hocon: str, told: dict[str, object]) -> None:
    errors = {"connectors": {"path": "connectors.http.x", **told}}
    async with (
        serving(answers(400, {"errors": errors})) as server,
        BrokerApi(api_settings(server.url)) as api,
    ):
        with pytest.raises(Rejected, match=r'400 .*"path":"connectors\.http\.x"') as raised:
            await api.configuration.merge(f"connectors.http.{hocon}")
        assert "0123456789abcdef" not in str(raised.value)


async def test_configuration_in_clear_cannot_be_printed_by_accident() -> None:
    hocon = b'authentication = [{headers {authorization = "Bearer 0123456789abcdef"}}]'
    behaviour = answers(200, hocon, content_type="text/plain")
    async with serving(behaviour) as server, BrokerApi(api_settings(server.url)) as api:
        text = await api.configuration.hocon("authentication")
    assert "0123456789abcdef" not in f"{text} {text!r} {[text]}"
    assert text.get_secret_value() == hocon.decode()


async def test_an_object_in_clear_is_shown_masked() -> None:
    answer = {"id": "password_based:http", "enable": True, **BODY}
    async with serving(answers(200, answer)) as server, BrokerApi(api_settings(server.url)) as api:
        made = await api.authentication.create(BODY)
    assert repr(made) == "<Authenticator id='password_based:http' mechanism='password_based' enable=True>"
    assert HOOK not in str(made.masked())
    assert made.writable() == {"enable": True, **BODY}
    assert made.writable(enable=False)["enable"] is False


def test_a_copy_is_a_copy() -> None:
    raw = {"cache": {"excludes": ["a"]}}
    read = ConfiguredObject(raw)
    for copy in (read.get("cache"), read.writable()["cache"]):
        assert isinstance(copy, dict)
        copy["excludes"].append("b")
    assert read == ConfiguredObject({"cache": {"excludes": ["a"]}})
    assert read != ConfiguredObject({})
    assert read != raw


async def test_an_object_without_its_key_is_no_object() -> None:
    answer = answers(200, [{"id": "x", "enable": True}])
    async with serving(answer) as server, BrokerApi(api_settings(server.url)) as api:
        with pytest.raises(Broken, match="the Authenticator in the answer has no 'mechanism' that is a str"):
            await api.authentication.all()


def test_a_long_answer_is_judged_quickly_and_whole() -> None:
    assert len(said("a" * 5_000_000)) == LONGEST_MESSAGE
    secret = "0123456789abcdef"
    assert secret[:8] not in said(" " * 2_040 + secret, [secret])

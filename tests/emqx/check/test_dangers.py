"""A broker that answers as recorded and is as it shall be, and each danger planted in it, one at a time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import SecretStr

from emqx.check.inspection import KINDS
from emqx.check.strangers import Strangers
from tests.emqx.check.replayed import HOOK_SECRET, MASK, NO_PAGE, RULES, ReplayedBroker, good, wanted

Plant = Callable[[ReplayedBroker], None]

FILE = {"type": "file", "enable": True, "rules": '{deny, all, all, ["secret/#"]}.\n%% {allow, all}.\n'}
OTHER_DATABASE = "password_based:built_in_database"
USERS = "/authentication/password_based%3Abuilt_in_database/users"
GATEWAY = "/listeners/tcp:mchat_gateway"


@dataclass(frozen=True)
class Planted:
    """Something that is done to the good broker.

    Attributes:
        name: of the test.
        plant: does it.
        dangers: what a check then finds, all of it.
        case: what else is known.
    """

    name: str
    plant: Plant
    dangers: tuple[str, ...]
    case: dict[str, Any] = field(default_factory=dict)


def at(path: str, *names: str | int, to: Any) -> Plant:
    """Set a value within the answer of a path."""

    def plant(broker: ReplayedBroker) -> None:
        inner = broker.body(path)
        for name in names[:-1]:
            inner = inner[name]
        inner[names[-1]] = to

    return plant


def without(path: str, *names: str | int) -> Plant:
    """Remove a value from the answer of a path."""

    def plant(broker: ReplayedBroker) -> None:
        inner = broker.body(path)
        for name in names[:-1]:
            inner = inner[name]
        del inner[names[-1]]

    return plant


def more(path: str, *names: str | int, value: Any) -> Plant:
    """Add a member to a list in the answer of a path."""

    def plant(broker: ReplayedBroker) -> None:
        inner = broker.body(path)
        for name in names:
            inner = inner[name]
        inner.append(value)

    return plant


def said(path: str, body: Any) -> Plant:
    return lambda broker: broker.say(path, body)


def root(name: str, value: Any) -> Plant:
    """Set a root of the HOCON."""

    def plant(broker: ReplayedBroker) -> None:
        broker.roots[name] = value

    return plant


def all_of(*plants: Plant) -> Plant:
    def plant(broker: ReplayedBroker) -> None:
        for one in plants:
            one(broker)

    return plant


def secret(root_: str, *names: str | int, to: str) -> Plant:
    """Set what the HOCON tells as the header of one of the links."""

    def plant(broker: ReplayedBroker) -> None:
        inner = broker.roots[root_]
        for name in names:
            inner = inner[name]
        inner["headers"] = {"Authorization": to}

    return plant


def authn(*names: str | int, to: Any) -> Plant:
    return at("/authentication", 0, *names, to=to)


def authz(*names: str | int, to: Any) -> Plant:
    return at("/authorization/sources", "sources", 1, *names, to=to)


def another(**values: Any) -> Plant:
    """Another authenticator behind ours."""
    body = {"id": "jwt", "mechanism": "jwt", "enable": True, **values}
    return more("/authentication", value=body)


def database_of_users(*superusers: str, enable: bool = True) -> Plant:
    rows = [{"user_id": "u0", "is_superuser": False}]
    rows += [{"user_id": name, "is_superuser": True} for name in superusers]
    told = {"id": OTHER_DATABASE, "mechanism": "password_based", "backend": "built_in_database"}
    return all_of(
        more("/authentication", value={**told, "enable": enable}),
        said(USERS, {**NO_PAGE, "data": rows}),
    )


def version(text: str, *others: str) -> Plant:
    def plant(broker: ReplayedBroker) -> None:
        nodes = broker.body("/nodes")
        nodes[0]["version"] = text
        nodes += [nodes[0] | {"node": f"n{at}", "version": other} for at, other in enumerate(others)]

    return plant


def rule(number: int = 0, **values: Any) -> Plant:
    return all_of(*(at("/rules", "data", number, name, to=value) for name, value in values.items()))


def other_rule(*actions: Any, enable: bool = True) -> Plant:
    body = {"id": "theirs", "enable": enable, "sql": 'SELECT * FROM "t/#"', "actions": list(actions)}
    return more("/rules", "data", value=body)


def republish(topic: str) -> dict[str, Any]:
    return {"function": "republish", "args": {"topic": topic, "payload": "${payload}", "qos": 0}}


def attribute(name: str) -> dict[str, str]:
    return {"expression": "user_property.x", "set_as_attr": name}


def mqtt(name: str, value: Any) -> Plant:
    return at("/configs/global_zone", "mqtt", name, to=value)


def rules_of_all(permission: str) -> Plant:
    told = {"topic": "#", "permission": permission, "action": "all", "qos": [0, 1, 2], "retain": "all"}
    return said(f"{RULES}/all", {"rules": [told]})


def rules_of_user(permission: str) -> Plant:
    told = {"topic": "#", "permission": permission, "action": "all", "qos": [0, 1, 2], "retain": "all"}
    return said(f"{RULES}/users", {**NO_PAGE, "data": [{"username": "e1", "rules": [told]}]})


def listener(**values: Any) -> Plant:
    return all_of(*(at("/listeners/tcp:default", name, to=value) for name, value in values.items()))


def link(*topics: str, enable: bool = True) -> Plant:
    return root("cluster", {"links": [{"name": "there", "enable": enable, "topics": list(topics)}]})


def fallback(one: dict[str, Any]) -> Plant:
    return at("/actions", 0, "fallback_actions", to=[one])


def bridge(ingress: dict[str, Any]) -> Plant:
    return root("bridges", {"mqtt": {"b": {"enable": True, "ingress": ingress}}})


def transformation(topic: str, *, enable: bool = True) -> Plant:
    one = {"name": "t", "topics": [topic], "enable": enable}
    return root("message_transformation", {"transformations": [one]})


CHAT = {"zones": {"mchat_chat": "u/${username}/"}}
BRIDGE = {"mqtt": {"b": {"enable": True, "ingress": {"local": {"topic": "mchat/inbox/e1"}}}}}

DANGERS = [
    # Who comes in.
    Planted("no authenticator", said("/authentication", []), ("authn.none",)),
    Planted(
        "no authenticator of ours",
        said("/authentication", [{"id": "jwt", "mechanism": "jwt", "enable": True}]),
        ("authn.missing", "authn.other", "authn.superuser"),
    ),
    Planted("a disabled authenticator", authn("enable", to=False), ("authn.disabled",)),
    Planted("another authenticator", another(), ("authn.other", "authn.superuser")),
    Planted(
        "another authenticator, of users",
        database_of_users(),
        ("authn.other",),
    ),
    Planted("superusers", database_of_users("root"), ("authn.other", "authn.superuser")),
    Planted(
        "superusers of MySQL",
        another(id="password_based:mysql", backend="mysql", query="SELECT hash, is_superuser FROM u"),
        ("authn.other", "authn.superuser"),
    ),
    Planted("questions by GET", authn("method", to="get"), ("authn.method",)),
    Planted("another service is asked who", authn("url", to="http://127.0.0.1:9/emqx/authn"), ("authn.url",)),
    Planted("a small pool for log-ins", authn("pool_size", to=8), ("authn.pool",)),
    Planted("a wrong secret for log-ins", secret("authentication", 0, to="Bearer other"), ("authn.secret",)),
    Planted(
        "no secret for log-ins", without("/authentication", 0, "headers", "authorization"), ("authn.secret",)
    ),
    Planted(
        "log-ins without the address", without("/authentication", 0, "body", "peerhost"), ("authn.body",)
    ),
    Planted("log-ins without the zone", without("/authentication", 0, "body", "zone"), ("authn.body",)),
    Planted("log-ins by another name", authn("body", "username", to="${clientid}"), ("authn.body",)),
    Planted(
        "pinned certificates that are not sent",
        authn("enable", to=True),
        ("authn.certificate",),
        {"certificates": True},
    ),
    Planted(
        "hooks that do not answer",
        at("/authentication/password_based%3Ahttp/status", "status", to="disconnected"),
        ("authn.unreachable",),
    ),
    Planted("a listener that does not ask", listener(enable_authn=False), ("listener.no_authn",)),
    Planted(
        "a listener that asks others",
        listener(authentication=[{"mechanism": "jwt", "enable": True}]),
        ("listener.own_authn",),
    ),
    Planted(
        "a session that nobody let in",
        authn("enable", to=True),
        ("session.stranger",),
        {"strangers": Strangers(7, ("c0",))},
    ),
    # Who says what they may.
    Planted(
        "the file source with allow-all",
        more(
            "/authorization/sources",
            "sources",
            value=FILE | {"rules": '{allow, {ipaddr, "127.0.0.1"}, all}.\n{allow, all}.'},
        ),
        ("authz.file_allow_all",),
    ),
    Planted(
        "the file source of 6.2.1",
        more(
            "/authorization/sources",
            "sources",
            value=FILE | {"rules": "{allow, {security_profile, legacy}}."},
        ),
        ("authz.file_allow_all",),
    ),
    Planted("another source", more("/authorization/sources", "sources", value=FILE), ("authz.other_source",)),
    Planted(
        "a database although nothing is pushed",
        authn("enable", to=True),
        ("authz.other_source",),
        {"desired": wanted(push=False)},
    ),
    Planted("no source of ours", without("/authorization/sources", "sources", 1), ("authz.missing",)),
    Planted("a disabled source", authz("enable", to=False), ("authz.disabled",)),
    Planted(
        "sources in another order",
        lambda broker: broker.body("/authorization/sources")["sources"].reverse(),
        ("authz.order",),
    ),
    Planted("no_match allow", at("/authorization/settings", "no_match", to="allow"), ("authz.no_match",)),
    Planted(
        "deny_action disconnect",
        at("/authorization/settings", "deny_action", to="disconnect"),
        ("authz.deny_action",),
    ),
    Planted(
        "mounted topics are asked",
        at("/authorization/settings", "include_mountpoint", to=True),
        ("authz.include_mountpoint",),
    ),
    Planted("rules for all", rules_of_all("allow"), ("authz.common_rules",)),
    Planted("rules of a user", rules_of_user("allow"), ("authz.common_rules",)),
    Planted(
        "another service is asked what", authz("url", to="http://127.0.0.1:9/emqx/authz"), ("authz.url",)
    ),
    Planted("a small pool for questions", authz("pool_size", to=8), ("authz.pool",)),
    Planted(
        "a wrong secret for questions",
        secret("authorization", "sources", 1, to="Bearer other"),
        ("authz.secret",),
    ),
    *(
        Planted(
            f"questions without {name}",
            without("/authorization/sources", "sources", 1, "body", name),
            ("authz.body",),
        )
        for name in (
            "peerhost",
            "mountpoint",
            "employee_id",
            "grants_version",
            "credential_id",
            "zone",
            "retain",
        )
    ),
    Planted(
        "a placeholder that 5.8 does not know",
        authz("body", "listener", to="${listener}"),
        ("authz.placeholder",),
    ),
    Planted(
        "the zone as 5.8 does not know it",
        authz("body", "zone", to="${zone}"),
        ("authz.body", "authz.placeholder"),
    ),
    Planted(
        "hooks that do not decide",
        at("/authorization/sources/http/status", "status", to="disconnected"),
        ("authz.unreachable",),
    ),
    # What is remembered.
    Planted(
        "denies about groups are remembered",
        at("/authorization/settings", "cache", "excludes", to=["mchat/status/#"]),
        ("cache.group_denies",),
    ),
    Planted(
        "an exclude that is too narrow",
        at("/authorization/settings", "cache", "excludes", to=["mchat/group/+/x", "mchat/status/#"]),
        ("cache.group_denies",),
    ),
    Planted(
        "excludes without the service id",
        authn("enable", to=True),
        ("cache.group_denies", "events.status_rule"),
        {"desired": wanted("acme")},
    ),
    Planted(
        "a node's cache of decisions",
        said("/authorization/node_cache", {"enable": True}),
        ("cache.node_authorization",),
    ),
    Planted(
        "a node's cache of log-ins",
        said("/authentication/settings", {"node_cache": {"enable": True}}),
        ("cache.node_authentication",),
    ),
    # Listeners and sessions.
    Planted("a mountpoint that is not ours", listener(mountpoint="x/"), ("listener.mountpoint",)),
    Planted(
        "a stated mountpoint that is missing", listener(zone="mchat_chat"), ("listener.mountpoint",), CHAT
    ),
    Planted(
        "another mountpoint than is stated",
        listener(zone="mchat_chat", mountpoint="u/${clientid}/"),
        ("listener.mountpoint",),
        CHAT,
    ),
    *(
        Planted(
            f"a client that sets {name}",
            mqtt("client_attrs_init", [attribute(name)]),
            ("attributes.initial",),
        )
        for name in ("tns", "employee_id", "grants_version", "credential_id", "zone", "role", "told")
    ),
    # Ways past the decision.
    Planted(
        "a topic rewrite",
        said(
            "/mqtt/topic_rewrite",
            [{"action": "all", "source_topic": "x/#", "re": "^x/(.+)$", "dest_topic": "mchat/$1"}],
        ),
        ("detour.rewrite",),
    ),
    Planted(
        "a topic rewrite of ours",
        said(
            "/mqtt/topic_rewrite",
            [{"action": "publish", "source_topic": "mchat/#", "re": "^(.+)$", "dest_topic": "x/$1"}],
        ),
        ("detour.rewrite",),
    ),
    Planted(
        "an automatic subscription",
        said("/mqtt/auto_subscribe", [{"topic": "mchat/inbox/${clientid}", "qos": 1}]),
        ("detour.auto_subscribe",),
    ),
    Planted(
        "an automatic subscription to everything",
        said("/mqtt/auto_subscribe", [{"topic": "#"}]),
        ("detour.auto_subscribe",),
    ),
    Planted("a rule that publishes an inbox", other_rule(republish("mchat/inbox/e1")), ("detour.republish",)),
    Planted(
        "a rule that publishes where the message says",
        other_rule(republish("${payload.to}")),
        ("detour.republish",),
    ),
    Planted(
        "a rule that publishes later", other_rule(republish("$delayed/1/mchat/x")), ("detour.republish",)
    ),
    Planted(
        "a rule that does what nobody knows",
        other_rule({"function": "my_module:go", "args": {}}),
        ("detour.republish",),
    ),
    Planted(
        "an action that falls back to publishing",
        at("/actions", 0, "fallback_actions", to=[{"kind": "republish", "args": {"topic": "mchat/x"}}]),
        ("detour.republish",),
    ),
    Planted(
        "a fallback to nobody knows where", fallback({"kind": "republish", "args": {}}), ("detour.republish",)
    ),
    Planted("a bridge among several", bridge({"x": [{"local": {"topic": "mchat/x"}}]}), ("detour.bridge",)),
    Planted("a bridge", root("bridges", BRIDGE), ("detour.bridge",)),
    Planted("a link to another cluster", link("mchat/#"), ("detour.cluster_link",)),
    Planted(
        "a message transformation",
        root("message_transformation", {"transformations": [{"name": "t", "topics": ["#"]}]}),
        ("detour.transformation",),
    ),
    Planted(
        "an ExHook server",
        root("exhook", {"servers": [{"name": "h", "url": "http://127.0.0.1:9000"}]}),
        ("extension.exhook",),
    ),
    Planted("a gateway of EMQX", root("gateway", {"stomp": {"enable": True}}), ("extension.gateway",)),
    Planted(
        "configuration that nobody can read",
        lambda broker: setattr(broker, "hocon", "a ="),
        ("configuration.unread",),
    ),
    # Events.
    Planted("no rule of events", without("/rules", "data", 0), ("events.rule",)),
    Planted("a disabled rule of events", rule(enable=False), ("events.rule",)),
    Planted("a rule of events that goes nowhere", rule(actions=[]), ("events.rule",)),
    Planted(
        "a rule of too few events", rule(sql='SELECT * FROM "$events/client_connected"'), ("events.rule",)
    ),
    Planted("a rule of nothing", rule(sql="nonsense"), ("events.rule",)),
    Planted("no rule of status messages", without("/rules", "data", 1), ("events.status_rule",)),
    Planted(
        "a rule of some fields",
        lambda broker: rule(sql=broker.body("/rules")["data"][0]["sql"].replace("*", "clientid"))(broker),
        ("events.fields",),
    ),
    Planted(
        "a rule of some clients",
        lambda broker: rule(sql=broker.body("/rules")["data"][0]["sql"] + " WHERE clientid = 'x'")(broker),
        ("events.fields",),
    ),
    Planted(
        "an action that sends a part",
        at("/actions", 0, "parameters", "body", to="${clientid}"),
        ("events.fields",),
    ),
    Planted("no action", said("/actions", []), ("events.action",)),
    Planted("a disabled action", at("/actions", 0, "enable", to=False), ("events.action",)),
    Planted(
        "an action to another path", at("/actions", 0, "parameters", "path", to="/x"), ("events.action",)
    ),
    Planted("an action of another connector", at("/actions", 0, "connector", to="x"), ("events.action",)),
    Planted("no connector", said("/connectors", []), ("events.connector",)),
    Planted(
        "a disabled connector",
        all_of(at("/connectors", 0, "enable", to=False), at("/connectors", 0, "status", to="stopped")),
        ("events.connector",),
    ),
    Planted(
        "a connector that does not connect",
        at("/connectors", 0, "status", to="disconnected"),
        ("events.unreachable",),
    ),
    Planted(
        "a connector to somebody else", at("/connectors", 0, "url", to="http://127.0.0.1:9"), ("events.url",)
    ),
    Planted(
        "a wrong secret for events",
        secret("connectors", "http", "mchat", to="Bearer other"),
        ("events.secret",),
    ),
    Planted(
        "slow health checks of the action",
        at("/actions", 0, "resource_opts", "health_check_interval", to="15s"),
        ("events.health_check",),
    ),
    Planted(
        "slow health checks of the connector",
        at("/connectors", 0, "resource_opts", "health_check_interval", to="15s"),
        ("events.health_check",),
    ),
    Planted(
        "events that do not live long",
        at("/actions", 0, "resource_opts", "request_ttl", to="45s"),
        ("events.request_ttl",),
    ),
    # Versions.
    Planted("EMQX 5.7", version("5.7.2"), ("version.too_old",)),
    Planted("EMQX 4", version("4.4.19"), ("version.too_old",)),
    Planted("two versions", version("5.8.9", "5.8.6"), ("version.mixed",)),
    Planted("a node without a version", version("5.8.9", ""), ("version.unknown", "version.mixed")),
    # The gateway.
    Planted(
        "requests that overtake each other",
        at("/configs/broker", "shared_subscription_group", "gateway", "strategy", to="round_robin"),
        ("gateway.strategy",),
    ),
    Planted(
        "no strategy of the gateways",
        without("/configs/broker", "shared_subscription_group"),
        ("gateway.strategy",),
    ),
    Planted("no listener of the gateway", without("/listeners", -1), ("gateway.listener",)),
    Planted(
        "a disabled listener of the gateway",
        all_of(at("/listeners", -1, "enable", to=False), at(GATEWAY, "enable", to=False)),
        ("gateway.listener",),
    ),
    Planted("another zone of the gateway's listener", at(GATEWAY, "zone", to="default"), ("gateway.zone",)),
    Planted(
        "limits that get the gateway killed",
        root("zones", {"mchat_gateway": {"mqtt": {"max_mqueue_len": 100_000}}}),
        ("gateway.limits",),
    ),
    # TLS.
    *(
        Planted(
            f"{name} over TLS that is not verified: {name_}",
            at(*path, "ssl", name_, to=value),
            (f"{name}.tls",),
            {"desired": wanted(hooks_url="https://mchat.example", hooks_ca_file="ca.pem")},
        )
        for name, path in (
            ("authn", ("/authentication", 0)),
            ("authz", ("/authorization/sources", "sources", 1)),
            ("events", ("/connectors", 0)),
        )
        for name_, value in (("verify", "verify_none"), ("enable", False))
    ),
]


def broker_for(planted: Planted) -> ReplayedBroker:
    """The good broker of what is wanted there, unless the wish itself is what is planted."""
    tls = planted.case.get("desired") if any(code.endswith(".tls") for code in planted.dangers) else None
    return good(tls)


@pytest.mark.parametrize("planted", DANGERS, ids=lambda planted: planted.name)
async def test_a_planted_danger_is_found(planted: Planted) -> None:
    broker = broker_for(planted)
    planted.plant(broker)
    found = await broker.found(**planted.case)
    dangers = [finding for finding in found if finding.severity == "danger"]
    assert sorted({finding.code for finding in dangers}) == sorted(planted.dangers)
    for finding in dangers:
        assert finding.what and finding.kind.remedy
        assert HOOK_SECRET not in finding.what and "Bearer" not in finding.what


@pytest.mark.parametrize(
    ("plant", "what"),
    [
        (rule(enable=False), "rule mchat_events is disabled"),
        (rule(actions=["http:x"]), "rule mchat_events does not use http:mchat_events"),
        (rule(sql='SELECT * FROM "t"'), "rule mchat_events selects something else"),
        (without("/rules", "data", 0), "there is no rule mchat_events"),
        (database_of_users("a", "b"), "2 users of password_based:built_in_database are superusers: 'a', 'b'"),
        (
            database_of_users(*"abcdef"),
            "6 users of password_based:built_in_database are superusers: 'a', 'b', 'c', 'd', 'e' …",
        ),
        (version("5.7.0"), "the oldest node has 5.7.0"),
        (version("5.8.9", "5.8.8"), "emqx@127.0.0.1 has 5.8.9, n0 has 5.8.8"),
        (version("5.8.9", ""), "nodes without a version: n0"),
        (other_rule({"function": "f", "args": {}}), "rule theirs does f to what it does not say"),
        (other_rule(republish("mchat/\x1b[2J")), "rule theirs does republish to mchat/\\x1b[2J"),
        (
            authn("url", to="http://me:secret@127.0.0.1:9/x?key=secret"),
            "password_based:http asks http://127.0.0.1:9/x,",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_said(plant: Plant, what: str) -> None:
    broker = good()
    plant(broker)
    assert any(finding.what.startswith(what) for finding in await broker.found())


async def test_a_missing_header_is_told_once() -> None:
    broker = good()
    without("/authentication", 0, "headers", "authorization")(broker)
    assert [one.code for one in await broker.found() if one.severity != "note"] == ["authn.secret"]


NOT_AGAIN = (
    "a small pool for log-ins",
    "denies about groups are remembered",
    "slow health checks of the action",
    "events that do not live long",
    "a rule of too few events",
    "a wrong secret for log-ins",
)


@pytest.mark.parametrize("name", NOT_AGAIN)
async def test_a_danger_is_not_told_again_as_a_difference(name: str) -> None:
    broker = good()
    next(one for one in DANGERS if one.name == name).plant(broker)
    assert [finding.code for finding in await broker.found() if finding.severity == "difference"] == []


def test_codes_are_told_once() -> None:
    codes = [kind.code for kind in KINDS]
    assert len(codes) == len(set(codes))


# What is like a danger and is none.
HARMLESS: list[tuple[str, Plant, tuple[str, ...], dict[str, Any]]] = [
    ("nothing", authn("enable", to=True), (), {}),
    ("nobody is a stranger", authn("enable", to=True), (), {"strangers": Strangers(0, ())}),
    (
        "another secret that the hooks take",
        secret("authentication", 0, to="Bearer next"),
        (),
        {"secrets": (SecretStr("next"),)},
    ),
    ("a secret that EMQX masks", secret("authentication", 0, to=MASK), ("secret.unread",), {}),
    ("a larger pool", authn("pool_size", to=64), ("authn.differs",), {}),
    ("a small pool for events", at("/connectors", 0, "pool_size", to=2), ("events.differs",), {}),
    ("a disabled authenticator of others", another(enable=False), ("authn.other_disabled",), {}),
    ("superusers who cannot come in", database_of_users("root", enable=False), ("authn.other_disabled",), {}),
    (
        "a disabled source of others",
        more("/authorization/sources", "sources", value=FILE | {"enable": False}),
        ("authz.other_disabled",),
        {},
    ),
    ("no database", without("/authorization/sources", "sources", 0), ("authz.no_database",), {}),
    (
        "a disabled database",
        at("/authorization/sources", "sources", 0, "enable", to=False),
        ("authz.no_database",),
        {},
    ),
    (
        "no database where nothing is pushed",
        without("/authorization/sources", "sources", 0),
        (),
        {"desired": wanted(push=False)},
    ),
    ("rules for all that deny", rules_of_all("deny"), ("authz.common_denies",), {}),
    ("rules of a user that deny", rules_of_user("deny"), ("authz.common_denies",), {}),
    (
        "pinned certificates that are sent",
        authn("body", "cert_pem", to="${cert_pem}"),
        (),
        {"certificates": True},
    ),
    ("a field more of authn", authn("body", "x", to="${cert_pem}"), ("authn.body_more",), {}),
    ("a field more of authz", authz("body", "x", to="${proto_name}"), ("authz.body_more",), {}),
    (
        "the zone in authz, of 5.9",
        all_of(version("5.9.0"), authz("body", "x", to="${zone}")),
        ("authz.body_more",),
        {},
    ),
    (
        "more excludes",
        more("/authorization/settings", "cache", "excludes", value="x/#"),
        (),
        {},
    ),
    (
        "wider excludes",
        at("/authorization/settings", "cache", "excludes", to=["mchat/#"]),
        ("authz.differs",),
        {},
    ),
    ("no cache", at("/authorization/settings", "cache", "enable", to=False), ("cache.off",), {}),
    ("a long memory", at("/authorization/settings", "cache", "ttl", to="2m"), ("cache.ttl",), {}),
    (
        "a node's caches that are off",
        all_of(
            said("/authorization/node_cache", {"enable": False}),
            said("/authentication/settings", {"node_cache": {"enable": False}}),
        ),
        (),
        {},
    ),
    ("mounted topics are not asked", at("/authorization/settings", "include_mountpoint", to=False), (), {}),
    (
        "the mountpoint that is stated",
        listener(zone="mchat_chat", mountpoint="u/${username}/"),
        ("zone.unread",),
        CHAT,
    ),
    ("a stated zone that nobody has", authn("enable", to=True), ("listener.none_of_zone",), CHAT),
    (
        "a listener that does not ask and is closed",
        all_of(listener(enable_authn=False, enable=False), at("/listeners", 1, "enable", to=False)),
        (),
        {},
    ),
    (
        "a listener that denies the anonymous",
        listener(enable_authn="quick_deny_anonymous"),
        ("listener.quick_deny",),
        {},
    ),
    ("a proxy", listener(proxy_protocol=True), ("listener.proxy_protocol",), {}),
    ("attributes of others", mqtt("client_attrs_init", [attribute("floor")]), (), {}),
    ("other client ids", mqtt("use_username_as_clientid", True), ("attributes.names",), {}),
    ("nothing retained", root("retainer", {"enable": False}), ("mqtt.switched_off",), {}),
    (
        "durable sessions",
        at("/configs/global_zone", "durable_sessions", "enable", to=True),
        ("mqtt.durable_sessions",),
        {},
    ),
    ("no shares", mqtt("shared_subscription", False), ("mqtt.switched_off",), {}),
    (
        "a rewrite of others",
        said(
            "/mqtt/topic_rewrite", [{"action": "all", "source_topic": "x/#", "re": "x", "dest_topic": "y/$1"}]
        ),
        ("detour.other_rewrite",),
        {},
    ),
    (
        "a subscription of others",
        said("/mqtt/auto_subscribe", [{"topic": "x/${clientid}"}]),
        ("detour.other_auto_subscribe",),
        {},
    ),
    (
        "a rule that publishes elsewhere",
        other_rule(republish("x/${clientid}"), {"function": "console"}, "http:theirs"),
        (),
        {},
    ),
    ("a rule that is disabled", other_rule(republish("mchat/x"), enable=False), (), {}),
    (
        "behind a service id, plain topics are others'",
        other_rule(republish("mchat/x")),
        (),
        {"topics": ("acme/mchat/#",)},
    ),
    (
        "a bridge to elsewhere",
        root(
            "bridges",
            {
                "mqtt": {
                    "b": {"ingress": {"local": {"topic": "x/y"}}, "egress": {"local": {"topic": "mchat/#"}}}
                }
            },
        ),
        (),
        {},
    ),
    ("a disabled bridge", root("bridges", {"mqtt": {"b": BRIDGE["mqtt"]["b"] | {"enable": False}}}), (), {}),
    ("a link of other topics", link("x/#"), (), {}),
    ("a disabled link", link("#", enable=False), (), {}),
    ("a disabled ExHook server", root("exhook", {"servers": [{"name": "h", "enable": False}]}), (), {}),
    ("a disabled gateway", root("gateway", {"stomp": {"enable": False}}), (), {}),
    (
        "a plugin",
        root("plugins", {"states": [{"name_vsn": "p-1.0.0", "enable": True}]}),
        ("extension.plugin",),
        {},
    ),
    (
        "events by their newer names",
        lambda broker: rule(
            sql=broker.body("/rules")["data"][0]["sql"]
            .replace("client_", "client/")
            .replace("session_", "session/")
        )(broker),
        ("events.differs",),
        {},
    ),
    ("events by a rule of another id", rule(id="theirs"), (), {}),
    (
        "health checks of one second",
        at("/actions", 0, "resource_opts", "health_check_interval", to="1000ms"),
        ("events.differs",),
        {},
    ),
    (
        "events for ever",
        at("/actions", 0, "resource_opts", "request_ttl", to="infinity"),
        ("events.differs",),
        {},
    ),
    ("EMQX 5.8.5", version("5.8.5"), ("version.recommended",), {}),
    ("EMQX 6.2.2", version("e6.2.2"), (), {}),
    ("EMQX 6.3", version("6.3.0-beta.2"), ("version.untried",), {}),
    ("a node that is down", at("/nodes", 0, "node_status", to="stopped"), ("node.stopped",), {}),
    ("EMQX 5.8.0", version("5.8.0"), ("version.recommended",), {}),
    ("EMQX 5.8.6", version("5.8.6"), (), {}),
    (
        "an action that tries once",
        at("/actions", 0, "parameters", "max_retries", to=0),
        ("events.differs",),
        {},
    ),
    ("a rule of another name", rule(name="theirs"), ("events.differs",), {}),
    ("status messages by a wider rule", rule(1, sql='SELECT * FROM "mchat/#"'), ("events.differs",), {}),
    (
        "a time that nobody understands",
        at("/authorization/settings", "cache", "ttl", to="soon"),
        ("cache.ttl",),
        {},
    ),
    ("a fallback to another action", fallback({"kind": "reference", "type": "http", "name": "x"}), (), {}),
    ("a fallback to elsewhere", fallback({"kind": "republish", "args": {"topic": "x"}}), (), {}),
    (
        "a bridge from our names to others",
        bridge({"remote": {"topic": "mchat/x"}, "local": {"topic": "x"}}),
        (),
        {},
    ),
    ("a bridge that publishes as it says elsewhere", bridge({"local": {"qos": 1}}), (), {}),
    ("a link of nothing", link(), (), {}),
    ("a transformation of others", transformation("x/#"), (), {}),
    ("a disabled transformation", transformation("#", enable=False), (), {}),
    (
        "one strategy for all groups",
        all_of(
            without("/configs/broker", "shared_subscription_group"),
            mqtt("shared_subscription_strategy", "hash_clientid"),
        ),
        (),
        {},
    ),
    (
        "no listener of the gateway is wanted",
        without("/listeners", -1),
        ("events.differs",),
        {"desired": wanted(gateway_bind="")},
    ),
    ("the gateway's listener elsewhere", at(GATEWAY, "bind", to="127.0.0.1:1999"), ("gateway.bind",), {}),
    ("a zone that was set otherwise", at("/connectors", 0, "description", to=""), ("gateway.zone_mark",), {}),
    ("longer sessions", mqtt("session_expiry_interval", "8d"), ("mqtt.differs",), {}),
    ("other ways to write a time", mqtt("session_expiry_interval", "168h"), (), {}),
    ("slower answers", authn("request_timeout", to="30s"), ("authn.differs",), {}),
    ("slower decisions", authz("request_timeout", to="30s"), ("authz.differs",), {}),
    ("events over any connection", at("/connectors", 0, "pool_type", to="random"), ("events.differs",), {}),
]


@pytest.mark.parametrize(("name", "plant", "codes", "case"), HARMLESS, ids=[row[0] for row in HARMLESS])
async def test_what_is_like_a_danger_and_is_none(
    name: str, plant: Plant, codes: tuple[str, ...], case: dict[str, Any]
) -> None:
    broker = good()
    plant(broker)
    found = await broker.found(**case)
    beside = {"zone.unread", "gateway.zone_mark"} - set(codes)
    assert sorted({finding.code for finding in found} - beside) == sorted(codes)


def test_every_kind_is_planted() -> None:
    planted = {code for one in DANGERS for code in one.dangers}
    assert {kind.code for kind in KINDS if kind.severity == "danger"} == planted
    harmless = {code for _, _, codes, _ in HARMLESS for code in codes}
    assert {kind.code for kind in KINDS if kind.severity != "danger"} == harmless

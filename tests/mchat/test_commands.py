"""The command line as a person uses it: each command in a process of its own, in a folder of its own."""

import re
import socket
import sqlite3
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.processes import environment
from tests.mchat import forked
from tests.postgres import free_port

BINDS = (
    *("hooks_bind", "admin_bind", "gateway_bind"),
    *("laptop_tcp_bind", "laptop_ws_bind", "laptop_api_bind"),
)
Mchat = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def mchat(tmp_path: Path) -> Mchat:
    def run(*arguments: str, **settings: object) -> "subprocess.CompletedProcess[str]":
        # Whatever runs on this machine by itself has the addresses of the defaults.
        free = {name: f"127.0.0.1:{free_port()}" for name in BINDS}
        return forked.mchat(arguments, tmp_path, environment(tmp_path, **{**free, "var": "var", **settings}))

    return run


def one_line(done: "subprocess.CompletedProcess[str]") -> str:
    """The single line of a refusal; no traceback, exit code 2."""
    assert done.returncode == 2, (done.stdout, done.stderr)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("mchat: ")
    return lines[0]


def test_from_nothing_to_an_explained_decision(mchat: Mchat, tmp_path: Path) -> None:
    made = mchat("init")
    assert made.returncode == 0, made.stderr
    tokens = dict(re.findall(r"^(\w+): (mct_\S+)$", made.stdout, re.MULTILINE))
    assert tokens.keys() == {"admin", "mchat_gateway"}
    assert "var/secrets/gateway-token" in made.stdout
    kept = tmp_path / "var" / "secrets" / "gateway-token"
    assert kept.read_text().strip() == tokens["mchat_gateway"]
    assert mchat("init").stdout.strip() == "Nothing was missing."
    for path in (tmp_path / "var", tmp_path / "var" / "secrets"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in (tmp_path / "var" / "secrets").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    database = (tmp_path / "var" / "mchat.db").read_bytes()
    assert not any(token.encode() in database for token in tokens.values())

    assert mchat("person", "add", "alice", "--name", "爱丽丝", "--save", "var/alice").returncode == 0
    assert (tmp_path / "var" / "alice").read_text().startswith("mct_")
    assert re.search(r"^bob: mct_", mchat("person", "add", "bob").stdout)
    assert mchat("group", "add", "team", "--owner", "alice").returncode == 0
    asked = ("explain", "--client", "bob_pc", "--action", "subscribe", "--topic", "mchat/group/team")
    assert "DENY" in mchat(*asked).stdout
    assert "bob" in mchat("group", "member", "team", "bob").stdout
    explained = mchat(*asked).stdout
    assert "ALLOW" in explained
    assert "→" in explained
    assert "mchat/group/${group_id}" in mchat(*asked, "--all").stdout
    assert "爱丽丝" in mchat("person", "list").stdout
    assert "team" in mchat("group", "list").stdout
    assert "disabled" in mchat("person", "disable", "bob").stdout
    assert "DENY" in mchat(*asked).stdout
    assert "active" in mchat("person", "disable", "bob", "--undo").stdout
    assert "removed bob" in mchat("group", "member", "team", "bob", "--remove").stdout
    assert "DENY" in mchat(*asked).stdout


def test_explaining_people_newcomers_and_all_rights(mchat: Mchat) -> None:
    mchat("init")
    mchat("person", "add", "alice")
    mchat("group", "add", "team", "--owner", "alice")
    inbox = mchat("explain", "--person", "alice", "--topic", "mchat/inbox/alice").stdout
    assert "ALLOW" in inbox
    assert "decides this by itself: at the connect it is told allow subscribe mchat/inbox/alice" in inbox
    group = mchat("explain", "--client", "alice_pc", "--topic", "mchat/group/team").stdout
    assert "ALLOW" in group
    assert "The broker asks MChat" in group
    nothing = mchat("explain", "--person", "alice", "--topic", "mchat/#/alice").stdout
    assert "DENY" in nothing
    assert "what is no topic" in nothing
    assert "asks MChat" not in nothing
    everything = mchat("explain", "--person", "alice").stdout
    assert re.search(r"subscribe.*mchat/inbox/alice.*the broker", everything)
    assert re.search(r"subscribe.*mchat/group/\$\{group_id\}.*asked", everything)

    newcomer = ("explain", "--person", "zoe", "--topic", "mchat/group/team")
    assert "'zoe' does not exist" in one_line(mchat(*newcomer))
    outside = mchat(*newcomer, "--role", "employee").stdout
    assert "DENY" in outside
    assert "nothing of it is written" in outside
    assert "ALLOW" in mchat(*newcomer, "--role", "employee", "--group", "team").stdout
    assert "zoe" not in mchat("person", "list").stdout
    assert "--person ID" in one_line(mchat("explain", "--role", "employee", "--topic", "a"))
    assert "say --client ID or --person ID" in one_line(mchat("explain", "--topic", "a"))
    assert "belongs to alice, not to" in one_line(mchat("explain", "--client", "alice", "--person", "bob"))


def test_client_ids_are_registered_and_removed(mchat: Mchat) -> None:
    mchat("init")
    mchat("person", "add", "browser")
    mchat("person", "add", "door")
    asked = ("explain", "--client", "web_1", "--topic", "mchat/inbox/browser")
    assert "belongs to nobody" in mchat(*asked).stdout
    assert mchat("client", "register", "web_", "--person", "browser").stdout == (
        "client ids that begin with web_ are browser's\n"
    )
    assert "ALLOW" in mchat(*asked).stdout
    assert mchat("client", "register", "esp-7", "--person", "door").stdout == "client id esp-7 is door's\n"
    assert mchat("client", "register", "odd_", "--exact", "--person", "door").stdout.startswith(
        "client id odd_"
    )
    assert "belongs to nobody" in mchat("explain", "--client", "odd_1", "--topic", "a").stdout
    assert "web_7" in one_line(mchat("client", "register", "web_7", "--person", "door"))
    listed = mchat("client", "list").stdout
    assert re.search(r"web_ +│ prefix +│ browser", listed)
    assert re.search(r"esp-7 +│ exact +│ door", listed)
    assert mchat("client", "remove", "web_").stdout == "web_ is not browser's any more\n"
    assert "belongs to nobody" in mchat(*asked).stdout
    assert "not registered" in one_line(mchat("client", "remove", "web_"))


def test_a_policy_document_is_checked_before_it_is_used(mchat: Mchat, tmp_path: Path) -> None:
    right = 'name = "n"\n[roles.employee]\npermissions = [{ action = "publish", topic = "a/b" }]\n'
    (tmp_path / "right.toml").write_text(right)
    assert mchat("policy", "check", "right.toml").stdout == "right.toml: right; it has the roles employee\n"
    (tmp_path / "wrong.toml").write_text(right.replace("publish", "shout").replace('"n"', "7"))
    wrong = mchat("policy", "check", "wrong.toml")
    assert wrong.returncode == 2
    first, second = wrong.stderr.splitlines()
    assert first.startswith("wrong.toml:line 1")
    assert "shout" in second
    assert "No such file" in one_line(mchat("policy", "check", "absent.toml"))


def test_credentials_are_made_and_revoked(mchat: Mchat) -> None:
    mchat("init")
    mchat("person", "add", "alice")
    assert re.search(r"^alice: mct_", mchat("person", "credential", "alice").stdout)
    ids = re.findall(r"cred_\w+", mchat("person", "list").stdout)
    assert len(ids) == 4
    assert "revoked" in mchat("person", "credential", "alice", "--revoke", ids[1]).stdout
    assert "ended" in mchat("person", "list").stdout
    assert "has no credential" in one_line(mchat("person", "credential", "alice", "--revoke", ids[0]))


def test_a_certificate_is_pinned_as_openssl_shows_it(mchat: Mchat) -> None:
    mchat("init")
    mchat("person", "add", "alice")
    shown = "sha256 Fingerprint=" + ":".join(["AB"] * 32)
    assert re.search(
        r"^alice: .* cred_\w+$", mchat("person", "credential", "alice", "--certificate", shown).stdout
    )
    assert "(certificate)" in mchat("person", "list").stdout
    asked = ("person", "credential", "alice", "--certificate")
    assert "in use" in one_line(mchat(*asked, "ab" * 32)), "the same one, written otherwise"
    assert "stands alone" in one_line(mchat(*asked, "cd" * 32, "--revoke", "cred_x"))


def test_jwt_settings_that_are_not_safe_are_one_clear_line(mchat: Mchat) -> None:
    mchat("init")
    unsafe = one_line(
        mchat("serve", "hooks", jwt_jwks_url="https://issuer.example/jwks", hooks_bind="127.0.0.1:0")
    )
    assert "MCHAT_JWT_AUDIENCE" in unsafe


def test_what_is_wrong_is_one_clear_line(mchat: Mchat, tmp_path: Path) -> None:
    assert "mchat init" in one_line(mchat("person", "list"))
    (tmp_path / "file").write_text("")
    assert "MCHAT_VAR" in one_line(mchat("init", var=tmp_path / "file" / "var"))
    assert "MCHAT_VAR" in one_line(mchat("init", var="/proc/mchat")), "a folder that nobody can write"
    assert "mysql" in one_line(mchat("init", database_url="mysql://x/y"))
    assert "folder" in one_line(mchat("init", database_url="sqlite:////nowhere/at/all.db"))
    mchat("init")
    assert "exists" in one_line(mchat("person", "add", "admin"))
    assert "employee id" in one_line(mchat("person", "add", "a/b"))
    assert "MCHAT_PASSWORD_THREADS" in one_line(mchat("serve", password_threads=0))
    assert "HOOK_SECRETS_FILE" in one_line(mchat("serve", hook_secrets_file="missing"))
    assert "is no part" in one_line(mchat("serve", "kitchen"))
    level = one_line(mchat("person", "list", log_level="x"))
    assert level == "mchat: MCHAT_LOG_LEVEL=x: choose 'debug', 'info', 'warning' or 'error'"
    assert "broker" in one_line(
        mchat("listen", "a", "--as", "admin", "--broker", "127.0.0.1:1", "--secret-file", "var/secrets/hook")
    )


def test_a_taken_port_is_one_clear_line(mchat: Mchat) -> None:
    mchat("init")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert "MCHAT_HOOKS_BIND" in one_line(mchat("serve", hooks_bind=address))
        assert "MCHAT_ADMIN_BIND" in one_line(mchat("serve", "admin", admin_bind=address))
        assert "MCHAT_LAPTOP_TCP_BIND" in one_line(mchat("up", laptop_tcp_bind=address))
        assert "a port that is known" in one_line(mchat("up", hooks_bind="127.0.0.1:0"))
        assert "MCHAT_GATEWAY_BIND" in one_line(mchat("up", gateway_bind=address))
        more = f'[{{"bind": "{address}"}}]'
        assert "MCHAT_LAPTOP_LISTENERS" in one_line(mchat("up", laptop_listeners=more))
        assert address in one_line(mchat("laptop", laptop_tcp_bind=address))


def test_a_hook_secret_that_would_refuse_everybody_is_one_clear_line(mchat: Mchat, tmp_path: Path) -> None:
    line = one_line(mchat("up", laptop_hook_secret="a-secret-of-nobody-else"))
    for word in (
        "MCHAT_LAPTOP_HOOK_SECRET is set",
        "var/secrets/hook",
        "remove",
        "MCHAT_LAPTOP_HOOK_SECRET_FILE",
    ):
        assert word in line
    assert "a-secret-of" not in line
    (tmp_path / ".env").write_text("MCHAT_LAPTOP_HOOK_SECRET=a-secret-of-nobody-else\n")
    both = one_line(mchat("laptop", laptop_hook_secret_file="var/secrets/hook"))
    assert "MCHAT_LAPTOP_HOOK_SECRET and MCHAT_LAPTOP_HOOK_SECRET_FILE are both set" in both


def test_a_laptop_broker_without_any_secret_says_where_to_set_one(mchat: Mchat) -> None:
    line = one_line(mchat("laptop"))
    for word in (
        "MCHAT_HOOK_SECRETS",
        "MCHAT_LAPTOP_HOOK_SECRET",
        "MCHAT_LAPTOP_HOOK_SECRET_FILE",
        "mchat init",
    ):
        assert word in line


def test_a_database_of_a_newer_schema_is_one_clear_line(mchat: Mchat, tmp_path: Path) -> None:
    mchat("init")
    with sqlite3.connect(tmp_path / "var" / "mchat.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for command in (("init",), ("serve",), ("person", "list"), ("up",)):
        assert "9999" in one_line(mchat(*command))


def test_settings_come_from_a_file_too_and_the_environment_is_stronger(mchat: Mchat, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".env").write_text("MCHAT_DATABASE_URL=sqlite:///elsewhere/from-file.db\n")
    assert mchat("init").returncode == 0
    assert (tmp_path / "elsewhere" / "from-file.db").exists()
    assert mchat("init", database_url="sqlite:///elsewhere/from-environment.db").returncode == 0
    assert (tmp_path / "elsewhere" / "from-environment.db").exists()
    assert not (tmp_path / "var" / "mchat.db").exists()

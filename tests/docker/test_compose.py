"""compose.yaml: what it says exists, no secret stands in it, and it lets in nobody whom it need not."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from acl_service.settings import AccessSettings
from directory.settings import DirectorySettings
from emqx.api.settings import ApiSettings
from emqx.conf.text import configuration, secret_line
from emqx.desired.broker import OLDEST, desired
from emqx.desired.settings import DesiredSettings
from emqx.laptop.hocon import parse
from gateway.settings import GatewaySettings
from mchat.catalogue import COMMANDS, load
from mchat.process_commands import PARTS
from tests.docker.composition import FOLDER, HOUSE, composition, documented, ours, secret_files, services

ALONE = {"gateway"}
"""What `mchat serve` serves in a process of its own only."""

SECRET_WORDS = re.compile(r"PASSWORD|SECRET|TOKEN|KEY|COOKIE")


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ./prepare makes, made in a copy."""
    folder = tmp_path_factory.mktemp("docker")
    (folder / "prepare").write_bytes((FOLDER / "prepare").read_bytes())
    subprocess.run(["sh", str(folder / "prepare")], check=True, stdout=subprocess.DEVNULL)
    return folder / "secrets"


def test_it_starts_what_it_should() -> None:
    assert {"postgres", "emqx", "hooks", "worker", "admin", "gateway", "init"} <= services().keys()
    assert services()["emqx"]["image"].startswith("emqx/emqx:5.8.")
    # Whoever only starts it gets no set-up beside it.
    assert {name for name, service in services().items() if "profiles" in service} == {"init", "check"}


@pytest.mark.parametrize("name", ours())
def test_each_setting_exists(name: str) -> None:
    known = documented()
    assert len(known) > 50
    unknown = {setting for setting in ours()[name]["environment"] if setting not in known}
    assert not unknown, f"{name}: docs/configuration.md knows no {sorted(unknown)}"


@pytest.mark.parametrize("name", ours())
def test_each_command_exists(name: str) -> None:
    first, *words = ours()[name]["command"]
    assert first in COMMANDS, f"{name}: there is no command {first}"
    found = load(first)
    while words and hasattr(found, "commands"):
        assert words[0] in found.commands, f"{name}: there is no command {words[0]}"
        found = found.commands[words.pop(0)]
    if found.name == "serve":
        assert words
        assert set(words) <= set(PARTS) | ALONE
    else:
        assert not words


@pytest.mark.parametrize("name", ours())
def test_the_settings_can_be_read(
    name: str, secrets: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    service = ours()[name]
    for setting, value in service["environment"].items():
        monkeypatch.setenv(setting, str(value).replace("/run/secrets", str(secrets)))
    password = (secrets / "database-password").read_text()
    assert DirectorySettings().url() == f"postgresql://mchat:{password}@postgres:5432/mchat"
    assert AccessSettings().hook_secret_values() == [(secrets / "hook").read_text()]
    assert AccessSettings().admin_token_key_value() == (secrets / "admin-token-key").read_bytes()
    if "MCHAT_EMQX_URL" in service["environment"]:
        key, secret = ApiSettings().credentials()
        line = f"{key.get_secret_value()}:{secret.get_secret_value()}:administrator\n"
        assert (secrets / "emqx-api-keys").read_text() == line
        DesiredSettings()
    if name == "gateway":
        assert DirectorySettings().sealer() is not None
        assert GatewaySettings().client_id == "mchat_gateway_1"


@pytest.mark.parametrize("name", services())
def test_no_secret_stands_in_the_file(name: str) -> None:
    service = services()[name]
    mounted = secret_files(service)
    volumes = [each.split(":")[1] for each in service.get("volumes", [])]
    for setting, value in (service.get("environment") or {}).items():
        if SECRET_WORDS.search(setting):
            assert setting.endswith("_FILE"), f"{name}: {setting} holds a secret"
            assert value in mounted or any(value.startswith(f"{folder}/") for folder in volumes)
        assert not re.search(r"[0-9a-f]{32}|mct_|://[^/@]*:[^/@]+@", str(value))


def test_each_secret_is_made_before_and_used() -> None:
    defined = {name: Path(each["file"]) for name, each in composition()["secrets"].items()}
    used = {secret for service in services().values() for secret in secret_files(service).values()}
    assert used == defined.keys()
    made = set(re.findall(r"\| write ([\w.-]+)", (FOLDER / "prepare").read_text()))
    assert {file.name for file in defined.values()} == made
    assert {file.parent for file in defined.values()} == {Path("secrets")}
    assert "secrets/" in (FOLDER / ".gitignore").read_text().splitlines()


def test_secrets_are_made_once_and_kept_from_others(secrets: Path) -> None:
    assert secrets.stat().st_mode & 0o777 == 0o700
    made = {file.name: file.read_bytes() for file in secrets.iterdir()}
    assert {file.stat().st_mode & 0o777 for file in secrets.iterdir()} == {0o444}
    assert (
        len({made[name] for name in ("database-password", "hook", "admin-token-key", "emqx-api-secret")}) == 4
    )
    for name in ("database-password", "hook", "admin-token-key", "emqx-api-secret"):
        assert re.fullmatch(rb"[0-9a-f]{64}", made[name])
    (secrets / "hook").unlink()
    subprocess.run(["sh", str(secrets.parent / "prepare")], check=True, stdout=subprocess.DEVNULL)
    again = {file.name: file.read_bytes() for file in secrets.iterdir()}
    assert again.pop("hook") != made.pop("hook")
    assert again == made
    # The hook secret of EMQX's file would be another one now: put it back for whoever comes after.
    (secrets / "hook").unlink()
    (secrets / "hook").write_bytes(re.findall(rb"Bearer (\w+)", made["mchat-secret.conf"])[0])


def wanted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secret: str) -> Any:
    monkeypatch.chdir(tmp_path)
    for setting, value in ours()["worker"]["environment"].items():
        if not setting.endswith("_FILE"):
            monkeypatch.setenv(setting, str(value))
    return desired(DesiredSettings(), SecretStr(secret), AccessSettings().service, AccessSettings().push)


def test_emqx_is_configured_as_the_services_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = configuration(wanted(monkeypatch, tmp_path, "no-secret-is-written"), OLDEST)
    assert (FOLDER / "emqx" / "mchat.conf").read_text(encoding="utf-8") == text, (
        "write it anew: docs/docker.md, “The configuration of EMQX”"
    )


def test_emqx_is_given_the_secret_that_the_hooks_take(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secrets: Path
) -> None:
    secret = (secrets / "hook").read_text()
    assert (secrets / "mchat-secret.conf").read_text() == secret_line(wanted(monkeypatch, tmp_path, secret))


def test_emqx_reads_files_that_are_there(secrets: Path) -> None:
    service = services()["emqx"]
    mounted = {}
    for each in service["volumes"]:
        source, target, *_ = each.split(":")
        if source.startswith("./"):
            assert (FOLDER / source).is_file()
            mounted[target] = (FOLDER / source).read_text()
    files = composition()["secrets"]
    for target, name in secret_files(service).items():
        mounted[target] = (secrets / Path(files[name]["file"]).name).read_text()
    main = mounted["/opt/emqx/etc/emqx.conf"]
    included = re.findall(
        r'^include (?:required\()?"([^"]+)"', main + mounted["/opt/emqx/etc/mchat.conf"], re.MULTILINE
    )
    assert set(included) == {"emqx-node.conf", "mchat.conf", "mchat-secret.conf"}
    assert {f"/opt/emqx/etc/{name}" for name in included} <= mounted.keys()
    # Without a file of ours EMQX would fall back on a cookie and a password that everybody knows.
    assert main.count("include required(") == 2
    tree = parse("\n".join(line for line in main.splitlines() if not line.startswith("include ")))
    assert tree["api_key"]["bootstrap_file"] in mounted
    for door in ("ssl", "wss"):
        assert tree["listeners"][door]["default"]["enable"] is False
    node = parse(mounted["/opt/emqx/etc/emqx-node.conf"])
    assert len(node["node"]["cookie"]) >= 32
    assert len(node["dashboard"]["default_password"]) >= 32


def test_the_bridge_speaks_of_the_listeners_that_the_services_have() -> None:
    found = ours()
    worker, hooks, gateway = (found[name]["environment"] for name in ("worker", "hooks", "gateway"))
    port = hooks["MCHAT_HOOKS_BIND"].rpartition(":")[2]
    assert worker["MCHAT_EMQX_HOOKS_URL"] == f"http://hooks:{port}"
    assert worker["MCHAT_EMQX_GATEWAY_BIND"].rpartition(":")[2] == gateway["MCHAT_GATEWAY_PORT"]
    assert gateway["MCHAT_GATEWAY_HOST"] == "emqx"


def test_nobody_is_reached_who_need_not_be() -> None:
    found = services()
    for name, service in found.items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} is open to the network on {port}"
    assert {name for name, service in found.items() if "ports" in service} == {"emqx", "admin"}
    networks = {name: set(service["networks"]) for name, service in found.items()}
    reach = {
        network: {name for name in networks if network in networks[name]}
        for network in composition()["networks"]
    }
    assert reach["hooks"] == {"emqx", "hooks"}
    assert reach["outside"] == {"emqx", "admin"}
    assert "emqx" not in reach["database"]
    assert "admin" not in reach["broker"]
    for network, options in composition()["networks"].items():
        assert (options or {}).get("internal", False) is (network != "outside")
    for name, service in found.items():
        for other in service.get("depends_on", {}):
            assert networks[name] & networks[other], f"{name} does not reach {other}"


@pytest.mark.parametrize("name", ours())
def test_containers_may_do_little(name: str) -> None:
    service = ours()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "user" not in service


def test_images_are_of_a_named_version() -> None:
    for service in services().values():
        tag = service["image"].rpartition(":")[2]
        assert re.match(r"\d", tag), service["image"]
    project = (HOUSE / "pyproject.toml").read_text()
    version = re.search(r'^version = "(.+)"$', project, re.MULTILINE)
    assert version is not None
    assert {service["image"] for service in ours().values()} == {f"mchat:{version[1]}"}

"""What is wanted of a broker, in HOCON: generated from the same values that `apply` sets.

EMQX's HOCON puts no environment variables into values (github.com/emqx/hocon, issue 301), and overrides of single
headers by ``EMQX_…`` variables are refused. So the secret has a file of its own, which the configuration includes:
one setting of the connector, to which the others refer.
"""

from __future__ import annotations

from typing import Any

from emqx.api.nodes import Version
from emqx.api.secrecy import MASK
from emqx.desired.broker import Desired
from emqx.laptop.hocon import render

Json = dict[str, Any]

NODE_CACHES: Version = (5, 9, 0)
"""The first version that has node caches, and refuses to start where it does not know a setting before."""

SECRET_FILE = "mchat-secret.conf"  # noqa: S105 - a name

_HEAD = """# EMQX as MChat needs it, {versions}. Made by `mchat emqx conf`: change MCHAT_EMQX_… and make it anew.
# emqx.conf includes this file at its end, and {secret} lies beside it, readable by EMQX alone.
include "{secret}"

"""


def configuration(wanted: Desired, version: Version) -> str:
    """The configuration without its secret.

    Args:
        wanted: what the broker shall be like.
        version: of the broker; an older one does not start with what only later ones have.
    """
    versions = "5.9 to 6.2" if version >= NODE_CACHES else "5.8"
    text = render(tree(wanted, version)).replace(f'"{MASK}"', f"${{{secret_path(wanted)}}}")
    return _HEAD.format(versions=versions, secret=SECRET_FILE) + text


def secret_line(wanted: Desired) -> str:
    """The file of the secret, in clear."""
    return f'{secret_path(wanted)} = "{wanted.bearer.get_secret_value()}"\n'


def secret_path(wanted: Desired) -> str:
    """The setting that holds the secret, and that the others refer to."""
    return f"connectors.http.{wanted.connector['name']}.headers.authorization"


def tree(wanted: Desired, version: Version) -> Json:
    """The configuration as EMQX has it in its roots, secrets masked."""
    connector = _without(wanted.connector, "type", "name", "headers")
    authorization = wanted.authorization | {"sources": list(wanted.sources)}
    roots: Json = {
        "authentication": [wanted.authenticator],
        "authorization": authorization,
        "connectors": {"http": {wanted.connector["name"]: connector}},
        "actions": {"http": {wanted.action["name"]: _without(wanted.action, "type", "name")}},
        "rule_engine": {"rules": {rule["id"]: _without(rule, "id") for rule in wanted.rules}},
        "mqtt": wanted.mqtt,
        "broker": {"shared_subscription_group": {wanted.share_group: {"strategy": wanted.share_strategy}}},
    }
    if wanted.listener is not None:
        roots["zones"] = {wanted.zone_name: wanted.zone}
        roots["listeners"] = {"tcp": {wanted.listener["name"]: _without(wanted.listener, "type", "name")}}
    if version >= NODE_CACHES:
        authorization["node_cache"] = wanted.node_cache
        roots["authentication_settings"] = {"node_cache": wanted.node_cache}
    return roots


def _without(value: Json, *names: str) -> Json:
    return {name: inner for name, inner in value.items() if name not in names}

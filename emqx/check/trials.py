"""What `mchat emqx check --probe` tries with MQTT clients, because it cannot be read; each a kind of danger."""

from __future__ import annotations

from emqx.check.findings import Kind, danger


def _trial(name: str, meaning: str, source: str, remedy: str) -> Kind:
    return danger(f"probe.{name}", meaning, source, remedy)


_READ = "see what `mchat emqx check` names, and where else the broker lets clients in: files, plugins, the listener"
_HOOKS = "see `mchat emqx check`, and the log of `mchat serve hooks`"

UNKNOWN_USER = _trial("unknown_user", "A user name that nobody has is refused.", "contract 1.7", _READ)
NO_CREDENTIAL = _trial("no_credential", "Without user name and password, refused.", "contract 1.7", _READ)
WRONG_SECRET = _trial(
    "wrong_secret", "A known user name with a wrong secret is refused.", "contract 1.3", _READ
)
WILDCARD_ID = _trial(
    "wildcard_id",
    "A right secret with a client id that has a `+` in it is refused: EMQX itself takes such ids.",
    "contract fact 9",
    _READ,
)
FOREIGN_ID = _trial(
    "foreign_id", "A right secret with a client id that is somebody else's is refused.", "decision 9", _READ
)
KNOWN = _trial("known", "A right secret with a client id of one's own comes in.", "contract 1.3", _HOOKS)
TOLD_SUBSCRIBE = _trial(
    "told_subscribe",
    "A subscription that the answer to the connect allows is granted.",
    "contract 1.5",
    _HOOKS,
)
TOLD_PUBLISH = _trial(
    "told_publish",
    "A publish that the answer to the connect allows arrives.",
    "contract 1.5",
    _HOOKS,
)
EVERYTHING = _trial(
    "everything",
    "`#`, `+/#`, `$SYS/#`, `$share/g/#` and a topic that no policy speaks of are refused (0x80).",
    "contract section 3",
    _READ,
)
FOREIGN_SUBSCRIBE = _trial(
    "foreign_subscribe", "The same topic of another person is refused (0x80).", "contract section 3", _READ
)
FOREIGN_PUBLISH = _trial(
    "foreign_publish",
    "A publish to a topic that one may only subscribe does not arrive.",
    "contract 2.5",
    _READ,
)
RETAINED = _trial(
    "retained",
    "A retained publish does not arrive where the answer to the connect allows only others.",
    "emqx-measured, first list, 8",
    "set MCHAT_CONNECT_RULES=false until EMQX is another version: every publish is then asked",
)
DATABASE = _trial(
    "database",
    "What a built-in rule allows is allowed without MChat's saying so.",
    "contract 5.1",
    "see that built_in_database stands before http among the authorization sources",
)
DATABASE_RETAIN = _trial(
    "database_retain",
    "A retained publish does not arrive where a built-in rule allows only others.",
    'emqx-measured, "Built-in database rules"',
    "set MCHAT_PUSH=false until EMQX is another version: the rules that MChat writes are wider than it means them",
)
EXCLUDES = _trial(
    "excludes",
    "A subscription to a group that was refused, and is allowed a moment later, is granted at once.",
    'contract, "Measured"',
    "see `authorization.cache.excludes`",
)
CACHE_CLEAR = _trial(
    "cache_clear",
    "A deny that the broker remembers is forgotten when the REST API says so.",
    "contract 5.2",
    "see the node caches, and that the API key may do it (role administrator)",
)
EVENTS = _trial(
    "events",
    "The connection is an event that MChat stores, within 10 s.",
    "contract section 4",
    _HOOKS,
)
RECEIVE_MAXIMUM = _trial(
    "receive_maximum",
    "The gateway's listener takes as many messages in hand as its zone shall (CONNACK of MQTT 5).",
    "emqx-measured, first list, 4",
    "run `mchat emqx apply`; see `zones` in the broker's own files",
)
REVOKED = _trial(
    "revoked",
    "A credential that was revoked is refused within 5 s.",
    "contract 1.6; decision 7",
    "see the node cache of authentication",
)

KINDS = (
    *(UNKNOWN_USER, NO_CREDENTIAL, WRONG_SECRET, WILDCARD_ID, FOREIGN_ID, KNOWN),
    *(EVERYTHING, TOLD_SUBSCRIBE, FOREIGN_SUBSCRIBE, FOREIGN_PUBLISH),
    *(EXCLUDES, CACHE_CLEAR, DATABASE, DATABASE_RETAIN, TOLD_PUBLISH, RETAINED),
    *(EVENTS, RECEIVE_MAXIMUM, REVOKED),
)
"""All of them, in the order in which they are tried; ``meaning`` is what should come out."""

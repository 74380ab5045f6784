"""Who says what a client may, and what holds where nobody does."""

from __future__ import annotations

import re
from collections.abc import Iterator

from emqx.api.authorization import AuthorizationSource
from emqx.check.case import Case
from emqx.check.findings import Finding, danger, difference
from emqx.desired.questions import DATABASE, HTTP

FILE_ALLOW_ALL = danger(
    "authz.file_allow_all",
    "The file source that EMQX comes with ends with allow-all, and allows everything to clients of its own machine: "
    "whatever MChat does not answer is allowed.",
    "contract fact 2 and 2.1",
)
OTHER = danger(
    "authz.other_source",
    "Another source allows what MChat denies or does not answer.",
    "contract 2.3 (sources are asked in their order)",
    "remove it (Dashboard, or `DELETE /authorization/sources/TYPE`) once nobody needs it",
)
OTHER_DISABLED = difference(
    "authz.other_disabled",
    "Another source stands ready; enabled, it would allow what MChat does not answer.",
    "contract 2.3",
    "remove it once nobody needs it",
)
MISSING = danger(
    "authz.missing",
    "MChat is not asked what a client may: what is not written into the broker is decided by nobody.",
    "contract section 2",
)
DISABLED = danger(
    "authz.disabled",
    "EMQX passes over a disabled source: what is not written into the broker is decided by nobody.",
    "contract section 2",
)
NO_DATABASE = difference(
    "authz.no_database",
    "MChat cannot write rights into the broker: every question is asked, and with MChat stopped all are refused.",
    "the design's decision 2 (`push`)",
)
ORDER = danger(
    "authz.order",
    "MChat is asked before what it wrote into the broker is looked at: every message waits for an answer, and "
    "MChat gets the load that `push` keeps off it.",
    'contract, "Measured" (5.3k against 11.6k publishes a second)',
)
NO_MATCH = danger(
    "authz.no_match",
    "What no source decides is allowed: everything, while MChat does not answer.",
    "contract fact 2",
)
DENY_ACTION = danger(
    "authz.deny_action",
    "One refused request cuts the client: the gateway with all that it has in hand, and whoever lost a right in a "
    "loop of reconnects.",
    'emqx-measured, "Questions to the authorizer"',
)
INCLUDE_MOUNTPOINT = danger(
    "authz.include_mountpoint",
    "MChat is asked about topics with the mountpoint before them: other topics than the policy speaks of.",
    "contract 2.4 (6.1.0 and later)",
)
COMMON_RULES = danger(
    "authz.common_rules",
    "Rules for everybody, or by user name, allow without asking MChat; MChat writes rules by client id only.",
    "contract 5.1 (client id, user name, all: the first that matches wins)",
    "remove them: `DELETE /authorization/sources/built_in_database/rules/all`, `…/rules/users/NAME`",
)
COMMON_DENIES = difference(
    "authz.common_denies",
    "Rules for everybody, or by user name, deny what MChat may allow; MChat writes rules by client id only.",
    "contract 5.1",
    "remove them: `DELETE /authorization/sources/built_in_database/rules/all`, `…/rules/users/NAME`",
)

KINDS = (
    *(FILE_ALLOW_ALL, OTHER, OTHER_DISABLED, MISSING, DISABLED, NO_DATABASE, ORDER),
    *(NO_MATCH, DENY_ACTION, INCLUDE_MOUNTPOINT, COMMON_RULES, COMMON_DENIES),
)

# A `%` in a string, such as that of the placeholder `%c`, begins no comment.
_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|%[^\n]*')
# 6.2.1 and later end with the second form, which is allow-all while the profile is legacy; the last says the same.
_ALLOW_ALL = re.compile(
    r"\{\s*allow\s*,\s*(all|\{\s*security_profile\s*,\s*legacy\s*\})\s*\}\s*\."
    r'|\{\s*allow\s*,\s*all\s*,\s*(all|pubsub|publish|subscribe)\s*,\s*\[[^\]]*"#"'
)


def allows_everybody(rules: str) -> bool:
    """Whether rules of a file source allow everybody every topic."""
    return bool(_ALLOW_ALL.search(_COMMENT.sub(r"\1", rules)))


def sources(case: Case) -> Iterator[Finding]:
    """See that the sources are exactly those that are wanted, in their order."""
    actual = case.actual
    wanted = [source["type"] for source in case.desired.sources]
    for source in actual.sources:
        if source.type in wanted:
            continue
        if not source.enabled:
            yield OTHER_DISABLED.found(source.type)
        elif _allows_all(source):
            yield FILE_ALLOW_ALL.found("the file source is enabled and ends with allow-all")
        else:
            yield OTHER.found(source.type)
    http, database = actual.source(HTTP), actual.source(DATABASE)
    if http is None:
        yield MISSING.found("there is no source http")
    elif not http.enabled:
        yield DISABLED.found("the source http is disabled")
    if DATABASE in wanted and (database is None or not database.enabled):
        how = "there is no source built_in_database" if database is None else "built_in_database is disabled"
        yield NO_DATABASE.found(how)
    there = [source.type for source in actual.sources if source.type in wanted]
    if there != [kind for kind in wanted if kind in there]:
        yield ORDER.found(f"they are asked in the order {', '.join(there)}")


def beside_the_sources(case: Case) -> Iterator[Finding]:
    """See that what no source decides is denied, and a deny is no more than a deny."""
    settings = case.actual.authorization_settings
    if settings.no_match != "deny":
        yield NO_MATCH.found(f"authorization.no_match = {settings.no_match}")
    if settings.get("deny_action") != "ignore":
        yield DENY_ACTION.found(f"authorization.deny_action = {settings.get('deny_action')}")
    if settings.get("include_mountpoint") is True:
        yield INCLUDE_MOUNTPOINT.found("authorization.include_mountpoint = true")


def common_rules(case: Case) -> Iterator[Finding]:
    """See that nobody but MChat has rules in the built-in database."""
    of_all = case.actual.rules_of_all
    if of_all:
        allows = [rule.topic for rule in of_all if rule.permission == "allow"]
        kind = COMMON_RULES if allows else COMMON_DENIES
        yield kind.found(f"{len(of_all)} rules for all" + (f", allowing {allows[0]}" if allows else ""))
    for user in case.actual.rules_of_users:
        allows = [rule.topic for rule in user.rules if rule.permission == "allow"]
        kind = COMMON_RULES if allows else COMMON_DENIES
        yield kind.found(
            f"{len(user.rules)} rules of user {user.subject!r}"
            + (f", allowing {allows[0]}" if allows else "")
        )


def _allows_all(source: AuthorizationSource) -> bool:
    return source.type == "file" and allows_everybody(str(source.get("rules", "")))

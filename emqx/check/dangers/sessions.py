"""Who is in already."""

from __future__ import annotations

from collections.abc import Iterator

from emqx.check.case import Case
from emqx.check.findings import Finding, danger

STRANGER = danger(
    "session.stranger",
    "A session that MChat never let in goes on, with its subscriptions: it came while the broker was open, or in the "
    "two seconds after EMQX's start in which nobody is asked.",
    'contract, "Measured" (the last point)',
    "kick them (Dashboard, or `DELETE /clients/ID`); who may come in comes back",
)

KINDS = (STRANGER,)


def sessions(case: Case) -> Iterator[Finding]:
    """See that everybody who is in was let in."""
    found = case.strangers
    if found is not None and found.count:
        names = ", ".join(repr(client_id) for client_id in found.client_ids)
        more = " …" if found.count > len(found.client_ids) else ""
        yield STRANGER.found(f"{found.count} sessions without employee_id and grants_version: {names}{more}")

"""What everybody is told."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any

from msgspec import Meta, Struct

from directory.ids import new_id
from directory.instants import iso
from gateway.caller import Caller
from gateway.parameters import Name, bad
from gateway.permissions import ADMIN
from gateway.router import action
from gateway.unit_of_work import Work


class Notify(Struct, kw_only=True):
    """Parameters of system.notify.

    Attributes:
        title: A line of text.
        body: The text, 10,000 characters at most; it may have lines.
        type: A word that clients tell notices apart by.
    """

    title: Name
    body: Annotated[str, Meta(min_length=1, max_length=10_000)]
    type: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_.-]{0,31}\Z")] = "notice"


@action("system.notify", ADMIN, kind="mutating")
async def notify(caller: Caller, params: Notify, work: Work) -> dict[str, Any]:
    """Tell everybody something, on `mchat/system/notify`.

    Returns:
        notify_id, created_at.
    """
    for field, text, allowed in (("title", params.title, ""), ("body", params.body, "\n\t")):
        for character in text:
            if unicodedata.category(character) in ("Cc", "Cs") and character not in allowed:
                raise bad(field, f"contains U+{ord(character):04X}: leave it out")
    notify_id, created_at = new_id("notify_", work.now_ms), iso(work.now_ms)
    message = {
        "notify_id": notify_id,
        "type": params.type,
        "title": params.title,
        "body": params.body,
        "created_at": created_at,
    }
    work.deliver(work.topics.notify(), message)
    work.summary["notify_id"] = notify_id
    return {"notify_id": notify_id, "created_at": created_at}

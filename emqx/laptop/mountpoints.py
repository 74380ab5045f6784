"""A listener's mountpoint, rendered for one client.

EMQX asks about topics as the client writes them, then puts the mountpoint before what it publishes, subscribes and
leaves as a will, and takes it off what it is sent (emqx-measured, "Zones and mountpoints"). It is plain text: a
mountpoint that does not end in ``/`` becomes the beginning of the topic's first level.
"""


def render(template: str, client_id: str, username: str | None) -> str:
    """Put a client's names into a mountpoint, level by level; empty stays empty, for none.

    A client that sent no user name leaves ``${username}`` where it stands, so that all who come so share one
    mountpoint (EMQX 5.8's emqx_mountpoint; read there, not recorded).
    """
    values = {"${clientid}": client_id}
    if username is not None:
        values["${username}"] = username
    return "/".join(values.get(level, level) for level in template.split("/"))

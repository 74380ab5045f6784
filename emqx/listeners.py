"""Addresses of listeners, and the listeners of the laptop broker as settings: loopback only."""

from ipaddress import ip_address

from pydantic import BaseModel, ConfigDict, Field, field_validator


class ListenerSettings(BaseModel):
    """A listener of the laptop broker, in EMQX's words.

    Attributes:
        bind: loopback address and port; port 0 takes a free one.
        zone: as authn is told it.
        mountpoint: what stands before the topics of its clients; ``${username}`` and ``${clientid}`` are levels.
        ws: MQTT over WebSocket (path /mqtt) instead of TCP.
        name: of the listener in the REST API, ``type:name``; empty: numbered.

    Raises:
        ValidationError: a value is none, or there is another key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bind: str
    zone: str = Field(default="default", min_length=1)
    mountpoint: str = ""
    ws: bool = False
    name: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9_-]*)?$", max_length=255)

    @property
    def id(self) -> str:
        """``type:name``, as the REST API has it."""
        return f"{'ws' if self.ws else 'tcp'}:{self.name}"

    @field_validator("bind")
    @classmethod
    def _loopback(cls, bind: str) -> str:
        return check_loopback(bind)

    @field_validator("mountpoint")
    @classmethod
    def _levels(cls, mountpoint: str) -> str:
        # EMQX takes all of these. But what is empty is what ${username} becomes in an .env file, and then
        # everybody shares one mountpoint; a wildcard would make wildcards of a client's own topics.
        levels = mountpoint.removesuffix("/").split("/")
        if "" in levels:
            raise ValueError(
                f"mountpoint {mountpoint!r} has an empty level: leave it out for none; where ${{username}} is replaced,"
                " as in an .env file, write its $ as \\u0024"
            )
        if any(sign in mountpoint for sign in "+#\0"):
            raise ValueError(f"mountpoint {mountpoint!r} has a wildcard or NUL in it: write plain levels")
        odd = [level for level in levels if "${" in level and level not in _MOUNTED_NAMES]
        if odd:
            raise ValueError(f"mountpoint {mountpoint!r}: {odd[0]!r} is none of {', '.join(_MOUNTED_NAMES)}")
        return mountpoint


_MOUNTED_NAMES = ("${username}", "${clientid}")


def check_loopback(bind: str) -> str:
    """Return ``bind`` if it is ``host:port`` of a loopback address.

    Raises:
        ValueError: it has another form, or leads out of this machine.
    """
    host, port = split_bind(bind)
    if host != "localhost" and not ip_address(host).is_loopback:
        raise ValueError(f"{bind} is not a loopback address: this broker serves 127.0.0.1 or [::1] only")
    if port > 65_535:
        raise ValueError(f"{bind} has no port between 0 and 65535")
    return bind


def is_loopback(host: str) -> bool:
    """Whether a host of a URL is this machine, by its address or as ``localhost``."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def split_bind(bind: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[v6]:port``.

    Raises:
        ValueError: it has another form.
    """
    host, separator, port = bind.rpartition(":")
    if not separator or not host or not (port.isascii() and port.isdigit()):
        raise ValueError(f"{bind} is not host:port, such as 127.0.0.1:1883")
    return host.removeprefix("[").removesuffix("]"), int(port)

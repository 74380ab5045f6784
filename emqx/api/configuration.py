"""The broker's configuration beyond its objects: roots, the global zone, HOCON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import SecretStr

from emqx.api.calls import Calls
from emqx.api.objects import Body, ConfiguredObject, as_object, as_objects, body_of
from emqx.api.paths import segment


class GlobalZone(ConfiguredObject):
    """What holds in every zone that does not say otherwise. EMQX takes it back only whole."""

    REQUIRED: ClassVar[Mapping[str, type]] = {"mqtt": dict}

    __slots__ = ()


class ConfigurationRoot(ConfiguredObject):
    """One root of the configuration, such as ``broker``, or all of them."""

    __slots__ = ()


class TopicRewrite(ConfiguredObject):
    """A rule by which EMQX changes topics after it asked whether they are allowed (contract, fact 11)."""

    __slots__ = ()


class AutoSubscription(ConfiguredObject):
    """A subscription that EMQX makes for every client, without asking."""

    __slots__ = ()


class Configuration:
    """`/configs`, and what of `/mqtt` goes past authorization."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def global_zone(self) -> GlobalZone:
        """The settings of every zone that does not say otherwise."""
        return await self._calls.read("/configs/global_zone", as_object(GlobalZone))

    async def put_global_zone(self, body: Body) -> GlobalZone:
        """Set them, whole.

        Returns:
            What holds now.

        Raises:
            Rejected: a part is missing or a value is none.
        """
        return await self._calls.replace("/configs/global_zone", body_of(body), as_object(GlobalZone))

    async def effective(self) -> ConfigurationRoot:
        """All roots but zones, secrets masked by EMQX."""
        return await self._calls.read("/configs", as_object(ConfigurationRoot))

    async def root(self, name: str) -> ConfigurationRoot:
        """One root, such as ``broker``; its PUT is not offered, for it wipes what it leaves out: `merge` does not.

        Raises:
            Unsupported: there is no such root.
        """
        return await self._calls.read(f"/configs/{segment(name)}", as_object(ConfigurationRoot))

    async def hocon(self, key: str | None = None) -> SecretStr:
        """One root, or all, as HOCON. It holds the secrets of all in clear, so it is wrapped: compare it in
        memory, never print it, never log it.

        Raises:
            Rejected: EMQX gives no such root so (``broker``, ``zones``).
        """
        return SecretStr(await self._calls.read_text("/configs", (("key", key),) if key is not None else ()))

    async def merge(self, hocon: str) -> None:
        """Set what the HOCON says, leave the rest; the only way to make a zone or a share group's strategy.

        Raises:
            Rejected: its syntax, a value or a root is none.
            Broken: a key inside a root is none (EMQX answers 500).
        """
        await self._calls.put_text("/configs", hocon, (("mode", "merge"),))

    async def topic_rewrites(self) -> tuple[TopicRewrite, ...]:
        """The topic rewrites; any of them undoes what was authorized."""
        return await self._calls.read("/mqtt/topic_rewrite", as_objects(TopicRewrite))

    async def auto_subscriptions(self) -> tuple[AutoSubscription, ...]:
        """The automatic subscriptions."""
        return await self._calls.read("/mqtt/auto_subscribe", as_objects(AutoSubscription))

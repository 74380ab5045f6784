"""The composition root of the laptop broker: ``mchat laptop``."""

from __future__ import annotations

from emqx.laptop.server import LaptopBroker
from mchat.settings import CommandSettings, access_settings, laptop_settings
from mchat.signals import stop_signals


async def serve_laptop(command: CommandSettings, *, with_parent: bool = False) -> None:
    """``mchat laptop``: the laptop broker, until told to stop."""
    broker = LaptopBroker(laptop_settings(command, access_settings(command)))
    async with stop_signals(with_parent=with_parent) as stop, broker:
        await stop.wait()

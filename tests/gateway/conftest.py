"""Fixtures of the gateway's tests."""

from tests.gateway.brokers import five, place

__all__ = ["five", "place"]

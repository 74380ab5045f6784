"""Fixtures that every package's tests share."""

pytest_plugins = ["tests.postgres", "tests.mosquitto"]

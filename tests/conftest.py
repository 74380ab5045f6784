"""Fixtures that every package's tests share."""

import signal

pytest_plugins = ["tests.postgres", "tests.mosquitto"]

# A shell has its background jobs ignore Ctrl-C, and so would every process that a test starts and ends with it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

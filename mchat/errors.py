"""Errors of the command: one clear line each, exit code 2."""

from __future__ import annotations


class CommandError(Exception):
    """What the person at the keyboard has to know; the message names the value and the remedy."""

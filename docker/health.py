"""Whether the process of this container does its work: asks the listeners of the parts that it serves.

It runs every few seconds, so it needs the standard library only: importing MChat would take a second of CPU.
Exit code 0: healthy; 1: not, and why.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

LISTENERS = {
    "hooks": ("MCHAT_HOOKS_BIND", "127.0.0.1:8085"),
    "admin": ("MCHAT_ADMIN_BIND", "127.0.0.1:8086"),
    "gateway": ("MCHAT_GATEWAY_BIND", "127.0.0.1:8087"),
}
"""Where each part listens: its setting, and what holds without it. The worker has no listener."""

ALL = ("hooks", "admin")
"""What `mchat serve` serves that listens, if no part is named."""

PATIENCE_S = 3.0


def addresses(command: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """The addresses to ask, of a process with this command line.

    Args:
        command: of the container's first process; what `docker run --init` puts before it does not matter.
        environment: of the container.
    """
    if "serve" not in command:
        return []
    named = [part for part in command[command.index("serve") + 1 :] if not part.startswith("-")]
    found = []
    for part in named or ALL:
        if part in LISTENERS:
            setting, usual = LISTENERS[part]
            host, _, port = environment.get(setting, usual).rpartition(":")
            # What listens everywhere is asked here.
            here = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 - compared, not bound
            found.append(f"http://{here}:{port}/health/ready")
    return found


def fault(address: str) -> str | None:
    """What is wrong with the process behind an address; None if nothing is."""
    try:
        # The address is one of ours: a proxy of the environment has no part in it.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(address, timeout=PATIENCE_S):
            return None
    except (OSError, ValueError) as error:
        return f"{address}: {error}"


def main(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Ask, and say what is wrong; the exit code."""
    faults = [each for each in map(fault, addresses(command, environment)) if each]
    if faults:
        sys.stdout.write("\n".join(faults) + "\n")
    return 1 if faults else 0


if __name__ == "__main__":
    _words = Path("/proc/1/cmdline").read_bytes().decode(errors="replace").split("\0")
    sys.exit(main([word for word in _words if word], os.environ))

"""``python -m tests.benchmarks [NAME …]``: one JSON object a line from each named benchmark, or from all.

A bar that is missed is printed as missed (`ok` false); it is no failure of the command, since a figure of a busy
machine proves nothing. Exit code 2 for a name that is none.
"""

import sys
from collections.abc import Callable, Iterable

from tests.benchmarks import authn, authz, decision, gateway, presence, revocation, storm
from tests.benchmarks.figures import Figure, load

BENCHMARKS: dict[str, Callable[[], Iterable[Figure]]] = {
    "decision": decision.figures,
    "authz": authz.figures,
    "authn": authn.figures,
    "storm": storm.figures,
    "revocation": revocation.figures,
    "presence": presence.figures,
    "gateway": gateway.figures,
}


def main(names: list[str]) -> int:
    """Run the named benchmarks in order; 2 for a name that is none."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"{unknown[0]} is no benchmark: choose from {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in names or BENCHMARKS:
        print(load().line(), flush=True)
        for figure in BENCHMARKS[name]():
            print(figure.line(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``python -m tests.benchmarks [NAME …]``: one JSON object a line from each named benchmark, or from all."""

import sys
from collections.abc import Callable

from tests.benchmarks import decision

BENCHMARKS: dict[str, Callable[[], None]] = {"decision": decision.main}


def main(names: list[str]) -> int:
    """Run the named benchmarks in order; 2 for a name that is none."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"{unknown[0]} is no benchmark: choose from {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in names or BENCHMARKS:
        BENCHMARKS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

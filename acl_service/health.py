"""Whether a process lives, and whether it can do its work (``/health/live``, ``/health/ready``)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

Check = Callable[[], Awaitable[str | None]]
"""None when all is well, else what is wrong."""

CHECK_S = 2.0


async def live(request: Request) -> Response:
    """Answer 200: the event loop turns."""
    return PlainTextResponse("ok\n")


class Ready:
    """Answers 200 when every check passes, else 503; the body names each check.

    Args:
        checks: by name.
        detailed: whether the body says what is wrong, which may name hosts and databases.
    """

    def __init__(self, checks: Mapping[str, Check], *, detailed: bool = True) -> None:
        self._checks = checks
        self._detailed = detailed

    async def respond(self, request: Request) -> Response:
        """Run the checks, at most two seconds each."""
        faults = await asyncio.gather(*(_fault(check) for check in self._checks.values()))
        shown = [fault if fault is None or self._detailed else "failed" for fault in faults]
        report = {name: fault or "ok" for name, fault in zip(self._checks, shown, strict=True)}
        ready = not any(faults)
        return JSONResponse({"ready": ready, "checks": report}, status_code=200 if ready else 503)


async def _fault(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_S):
            return await check()
    except TimeoutError:
        return f"no answer within {CHECK_S:g} s"
    except Exception as error:  # a check that breaks is a check that fails
        return f"{type(error).__name__}: {error}"

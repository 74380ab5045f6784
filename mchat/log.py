"""How processes write their log: to standard error, as text or as JSON lines, structlog's and `logging`'s alike.

Our own lines go straight to the stream: the gateway writes one for each request, and the way through `logging` costs
five times as much.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

import msgspec
import structlog

from mchat.settings import CommandSettings

PACKAGES = ("directory", "emqx", "acl_service", "gateway", "mchat", "mchat_client")
"""Whose level the setting tells; libraries speak from warning on, whatever it says."""

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_encode: Final = msgspec.json.Encoder(enc_hook=str).encode


def configure(settings: CommandSettings) -> None:
    """Set logging up once for the process: structlog's lines go to the stream, all others through one handler."""
    level = _LEVELS[settings.log_level]
    foreign: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers = _renderers(as_json=settings.log_json)
    handler = logging.StreamHandler(sys.stderr)
    meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=foreign, processors=[meta, *renderers, _text])
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    for package in PACKAGES:
        logging.getLogger(package).setLevel(level)
    stream = _Stream(sys.stderr.buffer)
    structlog.configure(
        processors=[_stamped, *renderers],
        # A line below the level costs one call of an empty function, not a look at the standard library's tree.
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *names: _Lines(stream, *names),
        cache_logger_on_first_use=True,
    )


class _Stream:
    """Takes lines, each as a whole or not at all, and like `logging` fails nobody who has something to tell."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        # A line that found too little room was begun, and is never ended: the next begins on a line of its own.
        self._torn = False

    def write(self, line: bytes) -> None:
        try:
            self._stream.write(b"\n" + line + b"\n" if self._torn else line + b"\n")
            self._torn = False
            self._stream.flush()
        except BlockingIOError as error:  # Whoever reads it is slow, and somebody made it not wait.
            self._torn |= error.characters_written > 0
        except (OSError, ValueError):  # It is gone: there is nobody to tell that.
            return


class _Lines:
    """Writes lines at once."""

    def __init__(self, stream: _Stream, name: str = "") -> None:
        self._stream = stream
        self.name = name

    def msg(self, line: str | bytes) -> None:
        self._stream.write(line if isinstance(line, bytes) else line.encode("utf-8", "backslashreplace"))

    debug = info = warning = error = critical = exception = msg


def _stamped(logger: _Lines, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Say what structlog's own processors would, in one: level, logger, time."""
    event["level"] = "error" if method == "exception" else method
    event["logger"] = logger.name
    event["timestamp"] = f"{datetime.now(UTC).isoformat(timespec='microseconds')[:26]}Z"
    return event


def _renderers(*, as_json: bool) -> list[structlog.typing.Processor]:
    if as_json:
        return [structlog.processors.format_exc_info, _guarded(_as_json)]
    # The default would print the local variables of each frame, secrets among them.
    plain = structlog.dev.plain_traceback
    return [_guarded(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain))]


def _as_json(_: Any, __: str, event: structlog.typing.EventDict) -> bytes:
    try:
        return _encode(event)
    except (ValueError, TypeError, OverflowError):  # What no UTF-8 can hold, or a key that is no text.
        return json.dumps(event, default=str, skipkeys=True).encode()


def _guarded(render: structlog.typing.Processor) -> structlog.typing.Processor:
    """Say that there was something to tell where a value of it cannot be shown: it contains itself, say."""

    def rendered(logger: Any, method: str, event: structlog.typing.EventDict) -> Any:
        try:
            # A renderer may take out of it what it has shown.
            return render(logger, method, dict(event))
        except Exception as error:
            names = ("event", "level", "logger", "timestamp")
            shown = {name: event[name] for name in names if isinstance(event.get(name), str)}
            return render(logger, method, shown | {"unshown": type(error).__name__})

    return rendered


def _text(_: Any, __: str, line: Any) -> str:
    return line.decode() if isinstance(line, bytes) else str(line)

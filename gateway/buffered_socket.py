"""A socket that reads and writes in large pieces, under a client that does so packet by packet, and byte by byte.

paho reads the head of a packet one byte at a time and sends each packet by itself: more than a dozen calls of the
system for a request, which are most of what it costs. Here one call reads what has come, and one writes all that one
turn of the event loop had to say.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Final

_READ_BYTES: Final = 65_536


class BufferedSocket:
    """Stands where paho expects a socket (as its wrapper for WebSockets does).

    Args:
        sock: connected, TLS agreed upon.

    Attributes:
        paused: `recv` gives nothing for now.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._read = b""
        self._at = 0
        self._ended = False
        self.paused = False
        self._unsent = bytearray()

    @property
    def pending(self) -> bool:
        """Whether `recv` has something to give, the end too."""
        return self._ended or self._at < len(self._read)

    def fill(self) -> None:
        """Read what has come: called when the socket is readable. What went wrong is the end, for `recv`.

        While much of what was read waits still, the rest waits at the other side, which can tell by that.
        """
        if len(self._read) - self._at >= _READ_BYTES:
            return
        try:
            data = self._sock.recv(_READ_BYTES)
            self._ended = not data
            # What TLS has decrypted already makes no socket readable.
            while isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
                data += self._sock.recv(_READ_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:
            self._ended = True
            return
        self._read, self._at = self._read[self._at :] + data, 0

    def recv(self, size: int) -> bytes:
        """Give bytes that were read; none: the connection is over.

        Raises:
            BlockingIOError: nothing was read that was not given yet, or it is paused.
        """
        if self.paused:
            raise BlockingIOError
        data = self._read[self._at : self._at + size]
        if not data and not self._ended:
            raise BlockingIOError
        self._at += len(data)
        return data

    def send(self, data: bytes | bytearray) -> int:
        """Keep bytes for `flush`; they are all taken."""
        self._unsent += data
        return len(data)

    def flush(self) -> bool:
        """Write what was kept; tells whether all of it is written.

        A connection that is broken is noticed by whoever reads.
        """
        unsent = self._unsent
        try:
            while unsent:
                del unsent[: self._sock.send(unsent)]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError:
            unsent.clear()
        return True

    def end(self) -> None:
        """End the connection without a word: nothing more is read."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._read, self._at, self._ended, self.paused = b"", 0, True, False

    def fileno(self) -> int:
        """The socket's number."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        """See `socket.socket`."""
        self._sock.setblocking(flag)

    def close(self) -> None:
        """Write what goes out at once, and close."""
        self.flush()
        self._sock.close()

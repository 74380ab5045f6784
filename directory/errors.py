"""What can go wrong in the directory: one tree, told apart by what the caller can do about it."""


class DirectoryError(Exception):
    """Root of every error that the directory raises on purpose."""


class InvalidValue(DirectoryError):
    """A value that is not allowed here; nothing was changed. The message names it and what is allowed."""


class InvalidId(InvalidValue):
    """An id outside the syntax of ids, or a client id outside decision 9's limits."""


class NotFound(DirectoryError):
    """What was asked for does not exist; nothing was changed."""


class Conflict(DirectoryError):
    """The write contradicts what is stored; nothing was changed. The message names the other side."""


class SchemaMismatch(DirectoryError):
    """The database has another revision of the schema than this program; names both and the remedy."""


class CannotOpen(DirectoryError):
    """A sealed secret that our keys do not open (`sealed`); the message names it and the key that is missing."""


class Unavailable(DirectoryError):
    """The database did not answer, or not in time; the driver's error is the `__cause__`.

    Whether a write that ended so was stored is unknown: repeat it only if it may be repeated.
    """

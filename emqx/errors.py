"""The one error tree of the emqx package."""


class EmqxError(Exception):
    """Something about the broker is wrong; the message names the value and the remedy."""


class AclError(EmqxError):
    """A rule of an ``acl`` list is not one that EMQX accepts (contract section 1.5)."""


class SecretError(EmqxError):
    """The hook secret cannot be read from its file."""


class BindError(EmqxError):
    """A listener cannot be opened: not a loopback address, not an address at all, or a taken port."""

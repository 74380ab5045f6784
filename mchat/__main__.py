"""``python -m mchat`` and the ``mchat`` command."""

from __future__ import annotations

import sys

from pydantic_core import ErrorDetails, ValidationError
from rich.console import Console

from acl_service.errors import AccessError
from acl_service.policy.tables import PolicyError
from directory.errors import DirectoryError
from emqx.errors import EmqxError
from gateway.exchange import GatewayError
from mchat.command import app
from mchat.errors import CommandError


def main() -> None:
    """Run the command; what the person must know is one line on standard error, exit code 2."""
    try:
        app()
    except (CommandError, DirectoryError, AccessError, EmqxError, GatewayError, PolicyError) as error:
        fail(str(error))
    except ValidationError as error:
        fail("; ".join(_setting(error.title, fault) for fault in error.errors()))
    except OSError as error:
        fail(f"{error.filename or 'system'}: {error.strerror or error}")
    except KeyboardInterrupt:
        sys.exit(130)


def fail(message: str) -> None:
    """Write one line and end with code 2."""
    Console(stderr=True, soft_wrap=True).print(
        "mchat: " + " ".join(message.split()), style="red", markup=False, highlight=False
    )
    sys.exit(2)


def _prefixes() -> dict[str, str]:
    """What the variables of each class of settings begin with, but for those that begin with ``MCHAT_`` alone."""
    # Not at the top: the mistake that is to be named was made in one of them.
    from emqx.api.settings import ApiSettings
    from emqx.desired.settings import DesiredSettings
    from emqx.settings import LaptopSettings
    from gateway.settings import GatewaySettings

    classes = (LaptopSettings, ApiSettings, DesiredSettings, GatewaySettings)
    return {settings.__name__: str(settings.model_config.get("env_prefix")) for settings in classes}


def _setting(title: str, fault: ErrorDetails) -> str:
    """Name a setting as it is set: by its environment variable."""
    prefix = _prefixes().get(title, "MCHAT_")
    name = "".join(str(part) for part in fault["loc"][:1])
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "literal_error":  # one of a few words, so that its value is none to be hidden
        return f"{prefix}{name.upper()}={fault['input']}: choose {fault['ctx']['expected']}"
    return f"{prefix}{name.upper()}: {message}" if name else message


if __name__ == "__main__":
    main()

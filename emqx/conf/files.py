"""The files of this folder, made from the default settings so that they cannot drift.

Write them anew with ``python -m emqx.conf.files emqx/conf``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from emqx.conf.text import NODE_CACHES, SECRET_FILE, configuration
from emqx.desired.broker import OLDEST, Desired, desired
from emqx.desired.settings import DesiredSettings


class _Defaults(DesiredSettings):
    """The settings without what the environment says."""

    model_config = SettingsConfigDict(env_prefix="MCHAT_NOWHERE_", env_file=None)


_README = """# EMQX configured by file

Made by `python -m emqx.conf.files emqx/conf` from the values that `mchat emqx apply` sets; a test compares. These
are the values of the default settings; `mchat emqx conf` prints those of your installation.

| file | for |
|---|---|
| `mchat.conf` | EMQX 5.8 |
| `mchat-5.9.conf` | EMQX 5.9 to 6.2: the same, and the node caches off, which 5.8 does not know |

1. Write the configuration: `mchat emqx conf > mchat.conf`, from 5.9 on `mchat emqx conf --version 6.2.0 > mchat.conf`.
2. Write the hook secret beside it: `(umask 077; mchat emqx conf --secret > {secret})`. EMQX alone may read it.
   EMQX takes no environment variable for a value, and none for a single header: a file it has to be.
3. Put both into EMQX's folder `etc`, say `include "mchat.conf"` at the end of `emqx.conf`, and start EMQX.
4. `mchat emqx check` says what is missing.

What stands in `emqx.conf` wins over what was set through the API when EMQX starts. So a broker configured by file
is changed by file; `mchat emqx apply` finds nothing to do on it.

The two files were read by a HOCON parser of ours only, not by a running EMQX. What they hold is what the API was
recorded to take from 5.8.9; that one setting may refer to another by its path, and a file include another, is in
EMQX's HOCON library (github.com/emqx/hocon, `sample-configs/variable-subst.conf`, `etc/required-include.conf`).
"""


def files() -> Mapping[str, str]:
    """Every file by its name."""
    return {
        "mchat.conf": configuration(_wanted(), OLDEST),
        "mchat-5.9.conf": configuration(_wanted(), NODE_CACHES),
        "README.md": _README.format(secret=SECRET_FILE),
    }


def _wanted() -> Desired:
    return desired(_Defaults(), SecretStr("no-secret-is-written"))


if __name__ == "__main__":
    for _name, _text in files().items():
        (Path(sys.argv[1]) / _name).write_text(_text, encoding="utf-8")

"""Settings and wishes of the tests, without what the environment of a developer says."""

from typing import Any

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from emqx.desired.broker import Desired, desired
from emqx.desired.settings import DesiredSettings

SECRET = "the-hook-secret-of-the-tests"


class UntouchedSettings(DesiredSettings):
    model_config = SettingsConfigDict(env_prefix="MCHAT_TEST_ONLY_", env_file=None, extra="forbid")


def wish(
    url: str = "http://127.0.0.1:8085",
    *,
    secret: str = SECRET,
    service: str = "",
    push: bool = True,
    **values: Any,
) -> Desired:
    return desired(UntouchedSettings(hooks_url=url, **values), SecretStr(secret), service, push)

"""What the directory can be told from outside: `MCHAT_...` variables, `.env`, and secrets from files."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from directory.connections import parse_url
from directory.errors import InvalidValue
from directory.sealed import Sealer


class DirectorySettings(BaseSettings):
    """Settings of the database and the change feed."""

    model_config = SettingsConfigDict(
        env_prefix="MCHAT_",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        # A message about a wrong setting must not show the password beside it.
        hide_input_in_errors=True,
    )

    database_url: str = Field(
        "sqlite:///var/mchat.db",
        description="Where the directory lives: `sqlite:///path/to/file.db`, or "
        "`postgresql://user@host:5432/database` for more than one machine.",
        repr=False,
    )
    database_password: SecretStr | None = Field(
        None, description="Password of the PostgreSQL user, if it is not in the URL."
    )
    database_password_file: Path | None = Field(
        None,
        description="File that holds the password of the PostgreSQL user; one final newline is left out.",
    )
    database_pool_size: int = Field(
        10, ge=1, le=1_000, description="Most connections that one process keeps to the database."
    )
    database_timeout: float = Field(
        5.0,
        gt=0,
        le=60,
        description="Most seconds to wait for a connection, a lock or a statement; then the work fails.",
    )
    secret_key: SecretStr | None = Field(
        None,
        description="Key that seals secrets which must be read back, 32 bytes or more. Several by commas: the first "
        "seals, all open, so that a new one is put before the old one.",
    )
    secret_key_file: Path | None = Field(None, description="A file with such keys instead, one a line.")
    feed_stale: float = Field(
        2.0,
        ge=0.2,
        le=60,
        description="Seconds without a proof that the change feed lives, after which each allow reads the "
        "database first. Revocations reach connected processes within this time.",
    )
    feed_poll: float = Field(
        0.025,
        ge=0.005,
        le=0.5,
        description="Seconds between two looks for changes by other processes on SQLite "
        "(PostgreSQL tells them).",
    )

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        try:
            url = parse_url(self.database_url)
        except InvalidValue as error:
            raise ValueError(f"MCHAT_DATABASE_URL: {error}") from None
        given = [
            name
            for name, value in (
                ("the password in MCHAT_DATABASE_URL", url.password),
                ("MCHAT_DATABASE_PASSWORD", self.database_password),
                ("MCHAT_DATABASE_PASSWORD_FILE", self.database_password_file),
            )
            if value is not None
        ]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are both set: keep one of them")
        if given and url.get_backend_name() == "sqlite":
            raise ValueError(f"{given[0]} is set, but a SQLite database has none: leave it out")
        return self

    def url(self) -> str:
        """Return the URL for `Database.open`, with the password in it: never print it.

        Raises:
            InvalidValue: The file of the password cannot be read.
        """
        password = self.database_password.get_secret_value() if self.database_password else None
        if self.database_password_file is not None:
            password = _read("MCHAT_DATABASE_PASSWORD_FILE", self.database_password_file).removesuffix("\n")
        if password is None:
            return self.database_url
        url = parse_url(self.database_url).set(drivername="postgresql", password=password)
        return url.render_as_string(hide_password=False)

    def sealer(self) -> Sealer:
        """Return what seals and opens secrets with these keys.

        Raises:
            InvalidValue: There is no key, one is too short, or the file cannot be read.
        """
        given = [] if self.secret_key is None else self.secret_key.get_secret_value().split(",")
        if self.secret_key_file is not None:
            given += _read("MCHAT_SECRET_KEY_FILE", self.secret_key_file).splitlines()
        return Sealer([key.strip() for key in given if key.strip()])


def _read(setting: str, file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue(f"{setting} {file} cannot be read: {error}") from error

"""Where the service runs, and what that changes by default."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Environment = Literal["development", "test", "staging", "production"]
T = TypeVar("T")


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""A setting given as `a, b, c`."""


def by_environment(otherwise: T, **special: T) -> Callable[[dict[str, Any]], T]:
    """Return a default factory: a value for the environments named, another for the rest."""
    return lambda settings: special.get(settings["app_env"], otherwise)


class EnvironmentSettings(BaseSettings):
    """What the settings of every part have in common."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        # An error must never show the value: it may be a secret.
        hide_input_in_errors=True,
        validate_default=True,
    )

    app_env: Environment = Field(
        default="production", description="Where the service runs: development, test, staging or production"
    )

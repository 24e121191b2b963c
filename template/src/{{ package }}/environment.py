"""Where the service runs, and what that changes by default."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Environment = Literal["development", "test", "staging", "production"]


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""A setting given as `a, b, c`."""


class by_environment:  # noqa: N801 - used like a function
    """A default factory: a value for the environments named, another for the rest."""

    def __init__(self, otherwise: Any, **special: Any) -> None:
        self.otherwise = otherwise
        self.special = special

    def __call__(self, settings: dict[str, Any]) -> Any:
        """Return the default that goes with `app_env`."""
        return self.special.get(settings.get("app_env", ""), self.otherwise)


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

    # What was asked for settings besides variables and files, for people.
    asked: ClassVar[str] = ""

    app_env: Environment = Field(
        default="production", description="Where the service runs: development, test, staging or production"
    )

    @model_validator(mode="before")
    @classmethod
    def _take_defaults_of_the_environment(cls, given: dict[str, Any]) -> dict[str, Any]:
        # Before anything is validated: pydantic would not ask a factory once any other setting is wrong,
        # and the first mistake would hide what is missing.
        factories = {name: field.default_factory for name, field in cls.model_fields.items()}
        defaults = {name: make(given) for name, make in factories.items() if isinstance(make, by_environment)}
        return {**defaults, **given}

"""The settings it would start with: right, fit for production, and serving what is asked for."""

import os
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from starlette.routing import Match

from . import SERVICE, NotReadyError, check
from .configuration import probes, variables

PACKAGE = SERVICE.replace("-", "_")


@contextmanager
def environment(given: Mapping[str, str]) -> Iterator[None]:
    """Have these variables, and no others that are settings, for a while."""
    kept = dict(os.environ)
    for name in import_module(f"{PACKAGE}.settings").Settings.model_fields:
        os.environ.pop(name.upper(), None)
    os.environ.update(given)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


def load(given: Namespace) -> Any:
    """Return the settings that the service would start with. Raises NotReadyError where it would not."""
    return load_from(variables(given))


def load_from(given: Mapping[str, str]) -> Any:
    """Return the settings that these variables make. Raises NotReadyError where they make none."""
    with environment(given):
        try:
            return import_module(f"{PACKAGE}.settings").load()
        except import_module(f"{PACKAGE}.startup").StartError as error:
            raise NotReadyError(f"{error}\n    docs/configuration.md says what each of them is.") from None


@check("settings")
def settings(given: Namespace) -> str:
    """Every setting and every secret is there, and right."""
    loaded = load(given)
    return f"{len(type(loaded).model_fields)} settings, as {loaded.app_env}"


@check("logging")
def logging(given: Namespace) -> str:
    """Logs are made for machines, and say no more than they should."""
    loaded = load(given)
    if loaded.app_env not in {"staging", "production"}:
        raise NotReadyError(f"APP_ENV is {loaded.app_env}: set it to production.")
    if loaded.log_format != "json":
        raise NotReadyError(f"LOG_FORMAT is {loaded.log_format}: leave it out, or set it to json.")
    if loaded.log_level == "DEBUG":
        raise NotReadyError("LOG_LEVEL is DEBUG: leave it out, or set it to INFO.")
    return f"{loaded.log_level}, {loaded.log_format}"


@check("health")
def health(given: Namespace) -> str:
    """What is asked whether the service lives is a route of it."""
    app = import_module(f"{PACKAGE}.app").create_app(load(given))
    asked = sorted(probes(given))
    for path in asked:
        scope = {"type": "http", "method": "GET", "path": path, "headers": []}
        if not any(route.matches(scope)[0] is Match.FULL for route in app.routes):
            raise NotReadyError(f"{path} is asked for, and no route: mend the path of the probe, or the API.")
    return ", ".join(asked)

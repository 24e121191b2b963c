"""The command line: `python -m PACKAGE serve`."""

import gc
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

from .startup import StartError
from .version import service_version

# What can be run: where it is and what it does. A module is imported when it is asked for.
COMMANDS = {
    "serve": ("server", "answer requests until a signal ends it"),
    "check": ("server", "say whether the service would start and everything it needs answers"),
}


def _part(name: str) -> ModuleType:
    return import_module(f".{name}", __package__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 78 for wrong settings, 69 for something unavailable."""
    parser = ArgumentParser(prog=f"python -m {__package__}")
    parser.add_argument("--version", action="version", version=service_version())
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_, purpose) in COMMANDS.items():
        commands.add_parser(name, help=purpose)
    command = parser.parse_args(arguments).command
    # Nothing that is imported is garbage; looking for it would take a fifth of the start.
    gc.disable()
    try:
        settings = _part("settings").load()
        _part("logging").configure(settings.log_level, settings.log_format)
        run: Callable[[Any], None] = getattr(_part(COMMANDS[command][0]), command)
        run(settings)
    except StartError as error:
        print(error, file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

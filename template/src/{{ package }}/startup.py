"""Starting: reasons not to, each a sentence and an exit code (sysexits.h), and the end of it."""

import gc


def finish() -> None:
    """Look for garbage again, in what is made from now on: what was loaded stays to the end."""
    gc.freeze()
    gc.enable()


class StartError(Exception):
    """Something outside the service is not available."""

    code = 69


class ConfigurationError(StartError):
    """The settings are not right; the message lists every problem."""

    code = 78


class PortInUseError(StartError):
    """Something else listens on the port."""

    def __init__(self, variable: str, port: int) -> None:
        super().__init__(f"Port {port} is taken: set {variable} to a free one, or stop what listens there.")

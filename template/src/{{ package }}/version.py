"""Which version of the service is installed."""

from importlib.metadata import PackageNotFoundError, version


def service_version() -> str:
    """Return the version, which is that of the git tag the service was built from."""
    try:
        return version(__name__.partition(".")[0].replace("_", "-"))
    except PackageNotFoundError:
        return "0.0.0"

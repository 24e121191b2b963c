"""Which version of the service is installed."""

from importlib.metadata import PackageNotFoundError, version


def service_version() -> str:
    """Return the version, which is that of the git tag the service was built from."""
    try:
        return version((__package__ or "").replace("_", "-"))
    except (PackageNotFoundError, ValueError):
        return "0.0.0"

"""Tell whether what the service is made of may be used: the licences allowed are in pyproject.toml."""

import sys

from releasing import NoReleaseError
from releasing.environments import run, runtime_environment


def main() -> None:
    try:
        with runtime_environment() as python:
            listed = run("pip-licenses", f"--python={python}", "--format=csv")
    except NoReleaseError as error:
        sys.exit(f"{error}\nThe licences that are allowed are in pyproject.toml, under [tool.pip-licenses].")
    print(f"{len(listed.splitlines()) - 1} packages, each under a licence that is allowed")


if __name__ == "__main__":
    main()

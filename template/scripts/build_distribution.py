"""Build the source distribution and the wheel into dist/, twice, and check what came of it."""

import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

from releasing import NoReleaseError
from releasing.distribution import (
    DIST,
    build,
    require_same,
    require_sound,
    require_version,
    version_of,
    wheel_in,
)


def main() -> None:
    name = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
    try:
        built = build(Path(), DIST)
        with TemporaryDirectory() as folder:
            require_same(built, build(Path(), Path(folder)), "is not the same when it is built again")
        wheel = wheel_in(DIST)
        require_version(version_of(wheel))
        require_sound(wheel, name.replace("-", "_"))
    except NoReleaseError as error:
        sys.exit(f"No distribution: {error}")
    for file, digest in built.items():
        print(f"{digest}  {DIST / file}")


if __name__ == "__main__":
    main()

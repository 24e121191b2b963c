"""Tell whether what is here is ready to be released, item by item: `check_release.py --skip=audit`."""

import release_checks
from checks import go_through, parser
from release_checks import CHECKS


def main() -> None:
    given = parser(release_checks, CHECKS, "check_release.py", __doc__).parse_args()
    go_through(CHECKS, given, ready="ready to be released")


if __name__ == "__main__":
    main()

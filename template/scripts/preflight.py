"""Tell whether what is here is ready for production, item by item: `preflight.py --skip=audit`."""

import preflights
from checks import go_through, parser
from preflights import CHECKS


def main() -> None:
    go_through(CHECKS, parser(preflights, CHECKS, "preflight.py", __doc__).parse_args(), ready="ready for production")


if __name__ == "__main__":
    main()

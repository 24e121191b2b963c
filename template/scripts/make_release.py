"""Release the next version: its notes into CHANGELOG.md, a commit, a tag, one push. The tag is what publishes."""

import sys
from argparse import ArgumentParser, Namespace

import release_checks
from checks import go_through, parser
from release_checks import CHECKS
from release_checks.documents import coming
from releasing import NoReleaseError
from releasing.notes import CHANGELOG, NOTHING, add_to_changelog, notes_for, tells_something
from releasing.repository import is_tagged, release, require_new, require_releasable, taken_back_on_failure


def command_line() -> ArgumentParser:
    """Return what the command line may say."""
    commands = parser(release_checks, CHECKS, "make_release.py", __doc__)
    commands.add_argument("--version", help="in place of the one that the commits ask for")
    commands.add_argument("--dry-run", action="store_true", help="show the version and its notes, and change nothing")
    return commands


def make(given: Namespace) -> None:
    """Make a release. Raises NoReleaseError where it cannot be; then everything is as it was."""
    require_releasable()
    version = coming(given)
    tag, notes = f"v{version}", notes_for(version)
    if given.version:
        require_new(tag)
    elif is_tagged(tag) or not tells_something(notes):
        raise NoReleaseError(NOTHING)
    print(f"{notes}\n")
    if given.dry_run:
        print(f"This would be released as {tag}.")
        return
    go_through(CHECKS, given, ready="ready to be released")
    # That took its time: what is released is what was looked at.
    require_releasable()
    with taken_back_on_failure(tag, str(CHANGELOG)):
        add_to_changelog(version, notes)
        release(tag, notes, str(CHANGELOG))
    print(f"Released {tag}.")


def main() -> None:
    try:
        make(command_line().parse_args())
    except NoReleaseError as error:
        sys.exit(f"No release: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

"""Look for secrets in what git knows or would take in: `find_secrets.py`, or only in the files that are named."""

import os
import subprocess
import sys
from pathlib import Path

# Words, not secrets: what examples in the documents and the tests have for one.
EXAMPLES = "^(password|hidden|hunter2)$"
# The names of variables: most that are called like a secret hold none. Bandit looks at those in Python.
LEFT_OUT = "KeywordDetector"
# Hashes throughout.
NOT_WRITTEN_BY_HAND = "^uv[.]lock$"
WHAT_TO_DO = """\
Take it out, and change it wherever it is used: from a history it can be read for ever. What is none, like the key of a
test, ends with the comment `pragma: allowlist secret`."""


def everything() -> list[str]:
    """Return the files of a project that is in no repository yet, but for what it makes itself."""
    files = [path for path in Path().rglob("*") if path.is_file() and path.name != ".env"]
    made = ("__pycache__", "about", "dist")
    return [str(path) for path in files if not any(part.startswith(".") or part in made for part in path.parts[:-1])]


def source() -> list[str]:
    """Return the files that git knows or would take in. Ends with an error where git does not tell."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, env=os.environ | {"LC_ALL": "C"}, capture_output=True, text=True, check=False)
    if "not a git repository" in done.stderr:
        return everything()
    if done.returncode:
        sys.exit(f"No file was looked at, since git does not tell which there are: {done.stderr.strip()}")
    return [path for path in done.stdout.split("\0") if path]


def main() -> None:
    command = ["detect-secrets-hook", "--no-verify", f"--disable-plugin={LEFT_OUT}"]
    command += [f"--exclude-secrets={EXAMPLES}", f"--exclude-files={NOT_WRITTEN_BY_HAND}"]
    done = subprocess.run([*command, *(sys.argv[1:] or source())], capture_output=True, text=True, check=False)
    if done.returncode:
        found = [line.strip() for line in done.stdout.splitlines() if line.startswith(("Secret Type", "Location"))]
        pairs = zip(found[::2], found[1::2], strict=True)
        lines = [f"{where.split()[-1]}: {kind.partition(':')[2].strip()}" for kind, where in pairs]
        sys.exit("\n".join(["There are secrets in the source:", *lines, WHAT_TO_DO]) if lines else done.stderr)


if __name__ == "__main__":
    main()

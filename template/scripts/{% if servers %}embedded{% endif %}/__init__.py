"""Servers for development and tests. They start with whoever needs one first, and stop after whoever needs it last.

Who needs a server holds a shared lock on a file in its folder, which the system takes back when the holder ends, in
whatever way. A keeper, a process of its own, starts the server and waits until it gets that lock for itself.
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import IO

START_SECONDS = 60


def open_lock(folder: Path, name: str) -> IO[str]:
    """Return a file to lock."""
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / name).open("a", encoding="utf-8")


@contextmanager
def running(name: str, folder: Path) -> Iterator[str]:
    """Yield the URL of a server that keeps its data in a folder; also what this process becomes with exec holds it."""
    command = [sys.executable, "-m", f"{__name__}.{name}", str(folder.resolve())]
    with open_lock(folder, "users") as users, open_lock(folder, "log") as log:
        # Waits for a server that is about to stop.
        fcntl.flock(users, fcntl.LOCK_SH)
        os.set_inheritable(users.fileno(), True)
        scripts = Path(__file__).parents[1]
        # A session of its own: Ctrl-C is not meant for the server.
        with subprocess.Popen(
            command, cwd=scripts, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        ) as keeper:
            try:
                # It says where the server is, and no more.
                url = keeper.stdout.readline().decode().strip() if keeper.stdout else ""
                if not url:
                    sys.exit(f"The embedded {name} did not start: {folder / 'log'} tells why.")
                yield url
            finally:
                fcntl.flock(users, fcntl.LOCK_UN)
    # The next in this folder, or who removes it, finds the server gone.
    with open_lock(folder, "keeper") as gone:
        fcntl.flock(gone, fcntl.LOCK_EX)


def provide(stack: ExitStack, folder: Path, given: Mapping[str, str | None]) -> dict[str, str]:
    """Return the variables of the servers that are not given, each started in a folder of its own."""
    variables = {}
    for name in sorted(found.name for found in iter_modules(__path__)):
        variable = import_module(f"{__name__}.{name}").VARIABLE
        if not given.get(variable):
            variables[variable] = stack.enter_context(running(name, folder / name))
    return variables


def keep(server: Callable[[Path], AbstractContextManager[str]]) -> None:
    """Run a server, in the folder that the command line names, for as long as somebody needs it.

    Prints the URL once it can be used. Where another keeper is at work it only prints.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    folder = Path(sys.argv[1])
    known = folder / "url"
    give_up = time.monotonic() + START_SECONDS
    with open_lock(folder, "keeper") as keeper, open_lock(folder, "users") as users:
        while time.monotonic() < give_up:
            try:
                fcntl.flock(keeper, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if known.is_file():
                    print(known.read_text(encoding="utf-8"), flush=True)
                    return
                time.sleep(0.02)
                continue
            known.unlink(missing_ok=True)
            with server(folder / "data") as url:
                (folder / "new").write_text(url, encoding="utf-8")
                (folder / "new").rename(known)
                print(url, flush=True)
                fcntl.flock(users, fcntl.LOCK_EX)
                known.unlink()
            return

"""Which migrations an image knows, and whether the database is ahead of it.

Each roll-out notes, on its Deployment, the migrations that its image knows; Kubernetes keeps the note with the
revision. Those that take something away end in an exclamation mark.
"""

import subprocess
import sys
from pathlib import Path

from . import Refused
from .cluster import Cluster, Object

NOTE = "migrations"


def known_here() -> str:
    """Return the migrations that are here. Raises Refused where something is wrong with them."""
    script = Path("scripts/check_migrations.py")
    if not script.is_file():
        return ""
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(done.stderr.strip())
    return done.stdout.strip()


def known_to(found: Object) -> str:
    """Return the migrations that what a Deployment or a ReplicaSet runs knows."""
    noted: str = found["metadata"].get("annotations", {}).get(NOTE, "")
    return noted


def require_database(cluster: Cluster, known: str, image: str, *, ahead: bool) -> None:
    """Raise Refused where the database has lost what an image may need, unless it may be ahead.

    It has what any version that was rolled out knows; what has only been added is in nobody's way.
    """
    everything = [known_to(each) for each in cluster.list("replicasets", f"app={cluster.service}")]
    beyond = {each for noted in everything for each in noted.split()} - set(known.split())
    taken = sorted(each.rstrip("!") for each in beyond if each.endswith("!"))
    if taken and not ahead:
        raise Refused(
            f"The database is ahead of {image}: {', '.join(taken)} took away what it may need. "
            "Roll out a version that can do without, or say --database-ahead."
        )

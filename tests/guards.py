"""Mistakes that break existing projects or ask their owners for trust: functions that return complaints.

A root is a plain folder with the template: of a repository, Copier would render the last tag.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath

from copier._template import load_template_config  # nothing public reads settings that Copier refuses
from jinja2 import nodes
from jinja2.sandbox import SandboxedEnvironment

from tests.shell import clean_environment, differing, files
from tests.sources import sources

FILTERS = ["ans_random", "random", "random_mac", "shuffle", "strftime"]
FILTERS += ["expanduser", "expandvars", "fileglob", "realpath", "relpath"]
METHODS = ["astimezone", "now", "timestamp", "today", "utcnow"]
NAMES = ["_copier_conf", "_copier_python", "_folder_name", "existing", "lipsum"]
"""What gives something else on another day, on another machine, in another run, or in an update."""
UNRENDERED = re.compile(r" _message_|\.validator$| existing\.default$")
"""Places from which nothing reaches a project: all that they do is print or refuse."""
FIXED = re.compile(r"_copier_conf\.answers_file\b")
"""The one setting of Copier's that stands for the same wherever it runs."""
JINJA = SandboxedEnvironment(
    extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension", "copier._jinja_ext.YieldExtension"]
)
# Twenty-five hours apart, so never on the same date. Zones written like this need no tzdata.
MACHINES = [
    {"TZ": "EAST-14", "LANG": "C.UTF-8", "USER": "ann", "PYTHONHASHSEED": "1"},
    {"TZ": "WEST+11", "LANG": "de_DE.UTF-8", "USER": "bob", "PYTHONHASHSEED": "2"},
]


def code_that_runs(root: Path) -> list[str]:
    """Complain of settings that run code or leave the project, which asks for trust, or that break updates."""
    settings = load_template_config(root / "copier.yml")
    unsafe = [name for name in ("_tasks", "_migrations", "_jinja_extensions") if settings.get(name)]
    data = [FIXED.sub("", path) for path in settings.get("_external_data", {}).values()]
    outside = [path for path in data if re.search(r"^[/\\]|^\w:|\.\.|\{\{\s*\w|\{%", path)]
    patterns = [(name, each) for name in ("_exclude", "_skip_if_exists") for each in settings.get(name, [])]
    return [
        *(f"`{name}` runs code: every user would have to trust the template." for name in unsafe),
        *(f"`_external_data` may read {path} outside the project, which needs trust." for path in outside),
        *(
            f"`{name}` has Jinja in {pattern!r}: an update renders it with the answers of another version. "
            "Put the condition into the name of the path."
            for name, pattern in patterns
            if re.search(r"\{[{%]", pattern)
        ),
    ]


def ignored_files(project: Path) -> list[str]:
    """Complain of files of a rendered project that its git ignores: what an update overwrites there is lost."""
    names = files(project)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "init", "--quiet", "--bare", folder], check=True)
        command = ["git", "-c", "core.excludesFile=", f"--git-dir={folder}", f"--work-tree={project}", "check-ignore"]
        asked = "\0".join(names).encode()
        done = subprocess.run([*command, "-z", "--stdin"], cwd=project, input=asked, capture_output=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    ignored = {name for name in done.stdout.decode().split("\0") if name}
    ignored |= {name for name in names if PurePosixPath(name).name in {".env", "uv.lock"}}
    return [f"`{name}` is rendered, but git ignores it: an update overwrites it for good." for name in sorted(ignored)]


def varying_words(source: str) -> list[str]:
    """Return the filters, variables and methods in a Jinja source that do not always give the same."""
    tree = JINJA.parse(FIXED.sub("''", source))
    filters = list(tree.find_all(nodes.Filter))
    called = {call.name for call in filters}
    # `map('random')` names a filter, too.
    called |= {
        text.value for call in filters if call.name == "map" for text in call.args if isinstance(text, nodes.Const)
    }
    used = called.intersection(FILTERS)
    used |= {name.name for name in tree.find_all(nodes.Name)}.intersection(NAMES)
    return sorted(used | {part.attr for part in tree.find_all(nodes.Getattr)}.intersection(METHODS))


def varying_answers_of_the_clock(root: Path) -> list[str]:
    """Complain of Jinja that asks the clock, chance, the machine or the command line."""
    return [
        f"{place}: `{word}` is not always the same, so that updates conflict. Take an answer instead."
        for place, source in sources(root)
        if not UNRENDERED.search(place)
        for word in varying_words(source)
    ]


def varying_renderings(root: Path, **answers: str) -> list[str]:
    """Complain of files that are not the same on two machines, on two days, in two folders."""
    with tempfile.TemporaryDirectory() as folder:
        homes = [Path(folder, machine["USER"]) for machine in MACHINES]
        data = [f"--data={name}={answer}" for name, answer in answers.items()]
        running = []
        for home, machine in zip(homes, MACHINES, strict=True):
            (home / "config").mkdir(parents=True)
            own = clean_environment(**machine, LC_ALL="", HOME=str(home), XDG_CONFIG_HOME=str(home / "config"))
            options = ["--defaults", "--quiet", *data]
            command = [sys.executable, "-m", "copier", "copy", *options, str(root), f"of-{home.name}"]
            running.append(subprocess.Popen(command, cwd=home, env=own))
        assert [process.wait(timeout=120) for process in running] == [0, 0]
        left, right = (files(home / f"of-{home.name}") for home in homes)
    return [
        f"`{name}` is not the same on another machine and day, so that updates conflict."
        for name in sorted(differing(left, right))
    ]

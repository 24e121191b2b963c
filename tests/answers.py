"""Answers that the tests render: every choice of every question occurs."""

from typing import Any

from extensions.rows import choices, questions

LONG = "a_package_name_of_exactly_forty_letters0"
assert len(LONG) == 40

HOSTILE = {
    "description": 'It\'s "quoted" \\ {{ jinja }} {% x %} $HOME `id` <b> & \'é ü 漢 🚀\' # no: comment, [a] = "b"',
    "author_name": "D'Arcy Ångström & Søn: [#1] {x} `y` $Z",
    "author_email": "first.last+tag@sub.example.co.uk",
    "repository": "Some-Org/My.Repo_1",
}


def every_choice() -> list[dict[str, Any]]:
    """Return sets of answers, each of which differs in one answer from the defaults."""
    sets: list[dict[str, Any]] = []
    for name, question in questions().items():
        several = question.get("multiselect")
        sets += [{name: [choice] if several else choice} for choice in choices(name, question)]
        if several:
            sets.append({name: []})
    return sets


RENDERED: list[dict[str, Any]] = [
    {},
    *every_choice(),
    HOSTILE,
    {"package": LONG, "preset": "full"},
    {"package": "a", "preset": "full", **HOSTILE},
    {"package": LONG, "preset": "minimal"},
    {"preset": "minimal", "observability": ["prometheus"]},
    {"preset": "minimal", "deploy": "kubernetes"},
    {"cpu_limit": "none", "memory_limit": "2Gi", "cpu_request": "1"},
]
"""What is rendered and goes through the static gates."""

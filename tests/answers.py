"""Answers that the tests give: every choice of every question occurs, and every reason to refuse one."""

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
    {"preset": "minimal", "updates": "dependabot"},
    {"preset": "minimal", "queue": "arq", "example": "items"},
    {"preset": "full", "queue": "arq", "secrets": "aws"},
    {"preset": "full", "errors": "rollbar", "observability": ["prometheus", "opentelemetry", "datadog"]},
    {"preset": "minimal", "errors": "sentry", "queue": "celery"},
    {"preset": "minimal", "observability": ["opentelemetry", "datadog"], "deploy": "kubernetes"},
    {"preset": "minimal", "observability": ["opentelemetry", "datadog"], "queue": "celery"},
    {"preset": "minimal", "secrets": "vault"},
    {"preset": "minimal", "secrets": "kubernetes"},
    {"preset": "minimal", "deploy": "kubernetes", "queue": "celery", "secrets": "vault", "cpu_limit": "none"},
    {"cpu_limit": "none", "memory_limit": "2Gi", "cpu_request": "1"},
    {"cpu_limit": "2", "memory_limit": "2Gi", "cpu_request": "1", "memory_request": "1Gi"},
    {"gateway": "gateways/public", "managed_cidr": "10.0.0.0/16", "image_pull_secret": "registry"},
]
"""What is rendered and goes through the static gates."""

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"gateway": "public"}, "namespace/name"),
    ({"gateway": "Gateways/public"}, "namespace/name"),
    ({"gateway": "a/b: c"}, "namespace/name"),
    ({"managed_cidr": "10.0.0.1"}, "IPv4 network"),
    ({"managed_cidr": "10.0.0.256/8"}, "IPv4 network"),
    ({"managed_cidr": "10.0.0.0/33"}, "IPv4 network"),
    ({"managed_cidr": "10.0.0/16"}, "IPv4 network"),
    ({"image_pull_secret": "My Secret"}, "A Secret has a name"),
    ({"availability_objective": "100"}, "from 50 to below 100"),
    ({"availability_objective": "99,9"}, "from 50 to below 100"),
    ({"latency_objective": "9"}, "from 50 to below 100"),
    ({"latency_seconds": "0.3"}, "it is one of these"),
    ({"package": "class"}, "take one of your own"),
    ({"package": "json"}, "take one of your own"),
    ({"package": "fastapi"}, "take one of your own"),
    ({"package": "prometheus_client"}, "take one of your own"),
    ({"package": "tests"}, "take one of your own"),
    ({"package": "Orders"}, "lower-case letters"),
    ({"package": "a__b"}, "lower-case letters"),
    ({"package": "orders_"}, "lower-case letters"),
    ({"package": "1orders"}, "starts with a letter"),
    ({"package": "x" * 41}, "at most 40"),
    ({"package": "orders; rm -rf /"}, "lower-case letters"),
    ({"project_name": "1st"}, "starts with a letter"),
    ({"project_name": 'a"b'}, "A name starts"),
    ({"project_name": "x" * 51}, "at most 50"),
    ({"description": "two\nlines"}, "one line"),
    ({"description": ""}, "1 to 200"),
    ({"description": "x" * 10_000}, "1 to 200"),
    ({"description": " spaces "}, "no space at its ends"),
    ({"repository": "orders"}, "owner/name"),
    ({"repository": "a/b/c"}, "owner/name"),
    ({"repository": "a/-b"}, "owner/name"),
    ({"repository": "a/b c"}, "owner/name"),
    ({"repository": "a/b..c"}, "owner/name"),
    ({"author_name": 'a"b'}, "without quotes"),
    ({"author_name": "a\\b"}, "without quotes"),
    ({"author_name": " Ann "}, "without quotes"),
    ({"author_email": "nobody"}, "name@example.com"),
    ({"author_email": 'a"@example.com'}, "name@example.com"),
    ({"cpu_request": "lots"}, "like 250m"),
    ({"cpu_limit": "lots"}, "like 500m, or none"),
    ({"memory_request": "1T"}, "like 256Mi"),
    ({"memory_limit": "1T"}, "like 512Mi"),
    ({"memory_request": "1Gi"}, "at least what is asked for, 1Gi"),
    ({"cpu_request": "1"}, "at least what is asked for, 1"),
    ({"license": "GPL"}, "Invalid choice"),
    ({"python": "3.10"}, "Invalid choice"),
    ({"database": "postgresql"}, "Invalid choice"),
    ({"publish": ["crates"]}, "Invalid choice"),
    ({"updates": "somebody"}, "Invalid choice"),
]
"""What is refused, and a part of what is said."""

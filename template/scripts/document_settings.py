"""Write every setting of the service into .env.example and into the table of docs/configuration.md.

The settings are read from the code, so the documents cannot say anything else.
"""

import sys
import tomllib
from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo

ENVIRONMENTS = ("production", "development")
BEGIN, END = "<!-- settings -->", "<!-- end of settings -->"
EXAMPLES_HEAD = "# The variables of the service. Copy this file to .env, which is read in development only.\n"
TABLE_HEAD = "| variable | purpose | default | example | required | secret |\n|---|---|---|---|---|---|\n"


def shown(value: Any) -> str:
    if value is None:
        return ""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def defaults(field: FieldInfo) -> dict[str, str]:
    """Return the default in production, and the one in development where it differs."""
    if field.is_required():
        return {"production": ""}
    values = {
        environment: shown(field.get_default(call_default_factory=True, validated_data={"app_env": environment}))
        for environment in ENVIRONMENTS
    }
    return values if len(set(values.values())) > 1 else {"production": values["production"]}


def describe(name: str, field: FieldInfo) -> dict[str, str]:
    """Return what the documents say about a setting, by column."""
    known = defaults(field)
    secret = SecretStr in (field.annotation, *get_args(field.annotation))
    required = field.is_required() or (field.annotation is SecretStr and not known["production"])
    default = f"`{known['production']}`" if known["production"] else ""
    if secret:
        default = "made anew in development" if "development" in known else ""
    elif "development" in known:
        default += f", in development `{known['development']}`"
    example = (field.examples or [known.get("development", known["production"])])[0]
    return {
        "variable": name.upper(),
        "purpose": field.description or "",
        "default": default,
        "example": "" if secret else shown(example),
        "required": "yes" if required else "no",
        "secret": "yes" if secret else "no",
    }


def example_line(setting: dict[str, str]) -> str:
    notes = [
        setting["purpose"] + ".",
        f"Default: {setting['default'].replace('`', '')}." if setting["default"] else "",
        "Required in production." if setting["required"] == "yes" else "",
        "Secret." if setting["secret"] == "yes" else "",  # noqa: S105 - a word
    ]
    return f"\n# {' '.join(filter(None, notes))}\n# {setting['variable']}={setting['example']}\n"


def table_line(setting: dict[str, str]) -> str:
    cells = setting | {"variable": f"`{setting['variable']}`"}
    if setting["example"]:
        cells["example"] = f"`{setting['example']}`"
    return f"| {' | '.join(cells.values())} |\n"


def documents() -> dict[Path, str]:
    """Return what the documents have to be."""
    name = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
    fields = import_module(f"{name.replace('-', '_')}.settings").Settings.model_fields
    settings = [describe(field_name, field) for field_name, field in fields.items()]
    page = Path("docs/configuration.md")
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    table = TABLE_HEAD + "".join(map(table_line, settings))
    return {
        Path(".env.example"): EXAMPLES_HEAD + "".join(map(example_line, settings)),
        page: f"{before}{BEGIN}\n{table}{END}{after}",
    }


def main() -> None:
    parser = ArgumentParser(prog="document_settings.py", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail where something is old")
    checking = parser.parse_args().check
    for path, text in documents().items():
        if not checking:
            path.write_text(text, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path} says something else than the code: `doit docs` writes it anew.")


if __name__ == "__main__":
    main()

"""The part of Vault's command line that our page uses: `vault write PATH KEY=VALUE...` and the like.

https://developer.hashicorp.com/vault/docs/commands. It sends what the real one sends, to VAULT_ADDR with VAULT_TOKEN.
"""

import json
import os
import sys
import urllib.request
from typing import Any

Json = dict[str, Any]


def send(method: str, path: str, values: Json | None = None) -> Json:
    """Send a request and return the answer."""
    body = None if values is None else json.dumps(values).encode()
    headers = {"X-Vault-Token": os.environ["VAULT_TOKEN"]}
    request = urllib.request.Request(f"{os.environ['VAULT_ADDR']}/v1/{path}", body, headers, method=method)  # noqa: S310 - our own
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own server
        found: Json = json.loads(answer.read() or "{}")
    return found


def pairs(arguments: list[str]) -> Json:
    """Return what `KEY=VALUE` says; the value `-` is what comes on standard input."""
    values = dict(each.split("=", 1) for each in arguments)
    return {name: sys.stdin.read() if value == "-" else value for name, value in values.items()}


def main(arguments: list[str]) -> None:
    """Do what the command line says."""
    options = dict(each[1:].partition("=")[::2] for each in arguments if each.startswith("-") and each != "-")
    match [each for each in arguments if not each.startswith("-") or each == "-"]:
        case [("auth" | "secrets") as what, "enable", kind]:
            send("POST", f"sys/{'auth' if what == 'auth' else 'mounts'}/{options.get('path', kind)}", {"type": kind})
        case ["policy", "write", name, "-"]:
            send("PUT", f"sys/policies/acl/{name}", {"policy": sys.stdin.read()})
        case ["kv", ("put" | "patch") as how, name, "-"]:
            path = f"{options['mount']}/data/{name}"
            before = send("GET", path)["data"]["data"] if how == "patch" else {}
            send("POST", path, {"data": before | json.load(sys.stdin)})
        case ["write", path, "-"]:
            send("PUT", path, json.load(sys.stdin))
        case ["write", path, *given]:
            answer = send("PUT", path, pairs(given))
            print(answer["data"][options["field"]] if "field" in options else "Success!")
        case ["read", path]:
            print(send("GET", path)["data"][options["field"]])
        case other:
            sys.exit(f"vault {' '.join(other)}: not known here")


if __name__ == "__main__":
    main(sys.argv[1:])

"""The command line: ``python -m pytest_lkagent schema`` prints the format's JSON Schema."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from .scenarios.schema import json_schema


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m pytest_lkagent")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("schema", help="print the JSON Schema of scenario files, for editors")
    parser.parse_args(arguments)
    print(json.dumps(json_schema(), indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""The command line.

``python -m pytest_lkagent schema`` prints the format's JSON Schema, ``convert`` makes a scenario of
a call, ``runs`` lists the runs in a folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from .errors import UsageError
from .scenarios.schema import json_schema


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m pytest_lkagent")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("schema", help="print the JSON Schema of scenario files, for editors")
    _add_convert(commands.add_parser("convert", help="print a scenario that replays a call"))
    _add_runs(commands.add_parser("runs", help="list the runs of --lk-run-export in a folder"))
    options = parser.parse_args(arguments)
    if options.command == "convert":
        return _convert(options)
    if options.command == "runs":
        return _runs(options)
    print(json.dumps(json_schema(), indent=2))
    return 0


def _add_convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="a session report or a chat context, as JSON; - is stdin")
    tested = parser.add_mutually_exclusive_group()
    tested.add_argument("--agent", metavar="REF", help="the agent: file.py:name or module:name")
    tested.add_argument("--entrypoint", metavar="REF", help="the AgentServer, written likewise")
    parser.add_argument("--label", metavar="TEXT", help="the scenario's name")
    parser.add_argument(
        "--redact", action="store_true", help="take out emails, phone and card numbers"
    )
    parser.add_argument(
        "--mock-tools", action="store_true", help="let the tools give back what they gave back then"
    )


def _convert(options: argparse.Namespace) -> int:
    from .convert import convert  # here: it imports livekit, which no other command needs

    try:
        converted = convert(
            _read(options.file),
            options.file if options.file != "-" else "stdin",
            agent=options.agent,
            entrypoint=options.entrypoint,
            label=options.label,
            redact=options.redact,
            mock_tools=options.mock_tools,
        )
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for note in converted.notes:
        print(f"note: {note}", file=sys.stderr)
    sys.stdout.buffer.write(converted.text.encode())  # UTF-8, whatever the terminal has
    return 0


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{file}: cannot be read: {why}; name a file, or - for stdin") from None


def _add_runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", help="where the .json files are")
    parser.add_argument("--status", help="only runs that ended so: completed, failed, cancelled")
    parser.add_argument("--page-size", metavar="N", type=int, default=50, help="50 if not given")
    parser.add_argument("--page-token", metavar="TOKEN", default="", help="go on from there")


def _runs(options: argparse.Namespace) -> int:
    from .report.run_files import list_runs, table  # here: it imports livekit's protocol

    try:
        page, problems = list_runs(
            options.folder,
            status=options.status,
            page_token=options.page_token,
            page_size=options.page_size,
        )
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for line in table(page.runs):
        print(line)
    for problem in problems:
        print(f"note: {problem}", file=sys.stderr)
    if token := page.next_page_token.token:
        print(f"note: there are more: --page-token={token}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

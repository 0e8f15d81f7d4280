"""Play the README's agent and scenario file as a user who has just installed the plugin.

``python tests/first_minutes.py -n 2`` puts the two, and nothing else, into an empty folder, runs
the README's ``pytest --lk-scenarios=desk.yaml`` there with the options given, and holds that one
reads what the README shows. It is for `tox -e build`, which has installed the wheel.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from pages import blocks, shows

README = Path(__file__).parent.parent / "README.md"
FILES = ("agent.py", "desk.yaml")


def main(options: Sequence[str]) -> str | None:
    """Return what was wrong, None where all was well."""
    page = list(blocks(README.name, README.read_text(encoding="utf-8")))
    written = {block.title["name"]: block.text for block in page if block.title}
    console = next(block for block in page if block.language == "console")
    [begins] = [at for at, line in enumerate(console.lines) if " FAILURES " in line]
    rule, heading, *failure, _ = console.lines[begins:]
    # below the heading xdist says which of its processes it was
    expected = ["...", rule, heading, "...", *failure, "==== 1 failed, 1 passed in 0.90s ===="]

    command = ["pytest", "--lk-scenarios=desk.yaml", *options]
    with TemporaryDirectory() as folder:
        for name in FILES:
            Path(folder, name).write_text(written[name], encoding="utf-8")
        ran = subprocess.run(
            command,
            capture_output=True,
            check=False,
            cwd=folder,
            encoding="utf-8",
            env={**os.environ, "COLUMNS": "80"},
        )
        left = {path.name for path in Path(folder).iterdir()}
    output = ran.stdout + ran.stderr
    if (
        ran.returncode == 1
        and shows(output, expected)
        and "pytest_lkagent/" not in output
        and left - {".pytest_cache", "__pycache__"} == {*FILES}
    ):
        return None
    shown = "\n".join(expected)
    return (
        f"{command} ended with {ran.returncode}, left {sorted(left)}, and was to show\n{shown}\n"
        f"--- but showed\n{output}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Everything that the documentation shows is run: files, commands and what they print."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent

import pytest
from pages import Page, PageError, Ran, blocks, shows
from project import CONFIGURATION

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

SAMPLE = """
    # A page

    ```python
    # test_desk.py
    def test_open():
        assert True
    ```

    All is well:

    ```console
    $ pytest -q
    .                                                                        [100%]
    1 passed in 0.01s
    ```

    1. Now break it:

       ```python
       # test_desk.py (continued)
       def test_closed():
           assert not "open"
       ```

       ```console
       $ pytest -q    # again
       ...
       test_desk.py:7: AssertionError
       ...
       1 failed, 1 passed in 0.30s
       ```

    ```sh
    rm -rf test_desk.py
    ```
"""


@pytest.fixture
def play(pytester, monkeypatch):
    """Play a page in a folder of its own, its commands in this process where they can be."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("CI", raising=False)  # where no snapshot is written

    def run(arguments: Sequence[str]) -> Ran:
        if arguments[0] == "python":
            ran = subprocess.run(
                [sys.executable, *arguments[1:]],
                capture_output=True,
                check=False,
                cwd=pytester.path,
                encoding="utf-8",
            )
            return Ran(ran.returncode, ran.stdout + ran.stderr)
        if not any((pytester.path / name).exists() for name in CONFIGURATION):
            # pytest-asyncio would warn; a page need not say so each time
            arguments = [*arguments, "-o", "asyncio_default_fixture_loop_scope=function"]
        workers = any(argument.startswith(("-n", "--numprocesses")) for argument in arguments)
        runs = pytester.runpytest_subprocess if workers else pytester.runpytest_inprocess
        result = runs(*arguments[1:])
        return Ran(int(result.ret), result.stdout.str() + result.stderr.str())

    def play(text: str, name: str = "page.md") -> None:
        Page(name, dedent(text), folder=pytester.path).play(run)

    return play


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_page_shows_what_happens(path, play):
    play(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())


def test_the_picture_in_the_readme_is_drawn_of_the_call_that_it_shows(pytester):
    page = blocks("README.md", (ROOT / "README.md").read_text(encoding="utf-8"))
    shown = {block.title["name"]: block.text for block in page if block.title}
    passes = shown["test_call.py"].replace("within=0.3", "within=0.6")
    drawn = "    pathlib.Path('call.svg').write_text(voice_call.timeline.to_svg(), 'utf-8')\n"
    shown["test_call.py"] = f"import pathlib\n{passes}{drawn}"
    for name, text in shown.items():
        (pytester.path / name).write_text(text, encoding="utf-8")

    pytester.runpytest_inprocess("test_call.py").assert_outcomes(passed=1)

    picture = ROOT / "docs" / "images" / "interrupted-call.svg"
    drawn = (pytester.path / "call.svg").read_text(encoding="utf-8")
    assert picture.read_text(encoding="utf-8") == drawn


# --- that a wrong page would be noticed


def test_a_page_that_is_right_passes(play):
    play(SAMPLE)


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("1 failed, 1 passed", "2 failed", r"page.md:27: .*did not show"),
        ("test_desk.py:7", "test_desk.py:8", r"page.md:27: .*did not show"),
        ("assert True", "assert False", r"page.md:13: .*ended with 1, and no failure is shown"),
        ("$ pytest -q    #", "$ ls #", r"page.md:27: only `pytest`"),
        ("$ pytest -q    #", "pytest #", r"page.md:27: a console block begins with"),
        ("# test_desk.py (", "# test_disk.py (", r"page.md:21: .* no block began it"),
        ("# test_desk.py\n", "# ../test_desk.py\n", r"page.md:5: .* outside"),
        ("rm -rf test_desk.py\n    ```", "rm", r"page.md:34: this block is never closed"),
        ("```sh\n    rm -rf", "```python\n    rm (", r"page.md:35: this python does not parse"),
        ("```sh\n    rm -rf", "```yaml\n    - [", r"page.md:35: this yaml does not parse"),
    ],
)
def test_a_page_that_is_wrong_is_refused(play, right, wrong, complaint):
    assert right in SAMPLE
    with pytest.raises(PageError, match=complaint):
        play(SAMPLE.replace(right, wrong))


def test_files_that_no_command_follows_are_run_all_the_same(play):
    with pytest.raises(PageError, match=r"page.md:3: .*no failure is shown"):
        play("""
            ```python
            # test_desk.py
            def test_open():
                assert False
            ```
        """)


def test_a_file_shown_again_replaces_what_was_shown_before(play):
    play("""
        ```python
        # test_desk.py
        def test_open():
            assert False
        ```

        ```python
        # test_desk.py
        def test_open():
            assert True
        ```
    """)


def test_blocks_keep_their_language_and_place():
    found = [(block.line, block.language) for block in blocks("page.md", dedent(SAMPLE))]
    assert found == [(5, "python"), (13, "console"), (21, "python"), (27, "console"), (35, "sh")]


@pytest.mark.parametrize(
    ("shown", "answer"),
    [
        (["b", "c"], True),
        (["a", "c"], False),
        (["a", "...", "d 1 e"], True),
        (["...", "d"], False),
        (["d ... e"], True),
        (["==== 2 passed in 99.12s ===="], True),
        (["==== 3 passed in 0.12s ===="], False),
        ([], True),
    ],
)
def test_lines_shown_stand_below_each_other(shown, answer):
    output = "a\nb\nc   \nd 1 e\n========== 2 passed in 0.12s ==========\n"
    assert shows(output, shown) is answer

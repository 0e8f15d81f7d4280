"""The suite's own instrument: a project in a dict."""

from __future__ import annotations

import pytest

PASSES = "def test_it():\n    print('[0] said')\n"


@pytest.mark.parametrize("subprocess", [False, True])
def test_a_project_runs_and_its_outcomes_are_counted(project, subprocess):
    result = project({"test_it.py": PASSES}).run("-s", subprocess=subprocess)
    result.outcomes(passed=1)
    result.shows("collected 1 item", "*[0] said", "=* 1 passed in *")
    assert result.exit_status == 0


def test_other_outcomes_are_refused_with_the_whole_output(project):
    result = project({"test_it.py": PASSES}).run()
    with pytest.raises(pytest.fail.Exception, match=r"(?s)expected .*got .*collected 1 item"):
        result.outcomes(failed=1)


def test_lines_have_to_come_in_the_order_shown(project):
    result = project({"test_it.py": PASSES}).run()
    with pytest.raises(pytest.fail.Exception, match="collected 1 item"):
        result.shows("=* 1 passed in *", "collected 1 item")
    with pytest.raises(pytest.fail.Exception, match="collected 1 item"):
        result.shows_no("collected * item")


def test_adding_files_leaves_the_project_as_it_was(project):
    plain = project({"test_it.py": PASSES})
    more = plain.with_files({"pkg/data.bin": b"\xff", "test_it.py": "def test_it(): 1 / 0"})
    assert plain.files == {"test_it.py": PASSES}
    more.run().outcomes(failed=1)
    assert (more.pytester.path / "pkg" / "data.bin").read_bytes() == b"\xff"


def test_contents_are_dedented(project):
    made = project(
        {
            "test_it.py": """
            def test_it():
                pass
        """
        }
    )
    made.run().outcomes(passed=1)

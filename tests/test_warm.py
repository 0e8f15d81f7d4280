"""The warm Python: it does what Python does, and has imported everything before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux has it")

PROGRAM = """
import os, signal, sys
print(__name__, os.path.basename(sys.argv[0]), sys.argv[1:], os.getcwd(), sys.path)
print(sorted(os.environ.items()), sys.stdin.read(), os.getsid(0) == os.getpid())
for stream in (sys.stdin, sys.stdout, sys.stderr):
    print(stream.name, stream.encoding, stream.errors, stream.line_buffering, stream.write_through)
    print(stream in (sys.__stdin__, sys.__stdout__, sys.__stderr__))
print("told", file=sys.stderr)
"""
ENDS = {
    "by itself": "",
    "with a number": "sys.exit(3)",
    "with a text": "sys.exit('no calendar')",
    "with an error": "raise LookupError('no calendar')",
    "at once": "os._exit(4)",
    # as at a terminal: what a shell began in the background ignores it
    "interrupted": "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "signal.raise_signal(signal.SIGINT)",
    "terminated": "signal.raise_signal(signal.SIGTERM)",
    "killed": "signal.raise_signal(signal.SIGKILL)",
}


WAYS = [
    (["-m", "program", "-c", "a"], ""),
    (["-mprogram", "-m", "a"], ""),
    (["-u", "-mprogram"], ""),
    (["-c", "PROGRAM", "-m", "a"], ""),
    (["-u", "-c", "PROGRAM", "a"], ""),
    *((["-c", "PROGRAM"], end) for end in ENDS),
]


@pytest.mark.parametrize(("arguments", "end"), WAYS)
@pytest.mark.parametrize("leads", [False, True])
def test_it_does_what_python_does(warm_python, tmp_path, monkeypatch, arguments, end, leads):
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}here")
    monkeypatch.setenv("SAID", "früh")
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    monkeypatch.chdir(tmp_path)
    program = PROGRAM + ENDS.get(end, "")
    Path("program.py").write_text(program, encoding="utf-8")
    given = [program if one == "PROGRAM" else one for one in arguments]
    cold, warm = (
        subprocess.run(
            [python, *given],
            input=b"typed",
            capture_output=True,
            start_new_session=leads,
            check=False,
        )
        for python in (sys.executable, warm_python)
    )
    assert warm.returncode == cold.returncode
    assert warm.stdout.decode() == cold.stdout.decode()
    assert warm.stderr.splitlines()[-1:] == cold.stderr.splitlines()[-1:]  # but for a traceback


def test_it_is_warm_and_so_is_what_it_starts(warm_python):
    program = "import sys; print('livekit.agents' in sys.modules, sys.executable)"
    again = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {program!r}])"
    ran = subprocess.run([warm_python, "-c", again], capture_output=True, text=True, check=True)
    assert ran.stdout == f"True {warm_python}\n"


WAITS = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(1000)"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("leads", [False, True])
def test_it_ends_with_whoever_started_it(warm_python, number, leads):
    command = [warm_python, "-c", WAITS]
    with subprocess.Popen(command, stdout=-1, stderr=-1, start_new_session=leads) as process:
        waits = psutil.Process(int(process.stdout.readline()))
        assert _ended_by(process, number) == -number
        waits.wait(60)


def _ended_by(process, number):
    """Send a signal until it is heard: Python drops a KeyboardInterrupt raised in a callback."""
    for _ in range(10):
        process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            return process.wait(10)
    return None

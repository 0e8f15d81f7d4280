"""A Python that has imported already what a run of pytest imports.

A process that imports pytest and livekit takes three seconds of a processor before it does
anything. This one takes them once; whoever runs the path that `kept_warm` gives as a Python gets
a fork of it, with the arguments, folder, environment and streams of the caller, and sees it end as
a process of the caller's own.

What such a fork cannot show: that a run imports what it needs and nothing else, that it needs no
particular hash seed, and what becomes of it when the caller is killed. That is for
`sys.executable`.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader, BufferedWriter, FileIO, TextIOWrapper
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

import pytest

__all__ = ["import_all", "kept_warm"]

_CALLER = """\
#!{python} -IS
import json, os, signal, socket, sys

warm = socket.socket(socket.AF_UNIX)
warm.connect({address!r})
order = {{
    "executable": sys.argv[0],
    "arguments": sys.argv[1:],
    "folder": os.getcwd(),
    "environment": dict(os.environ),
    "leads": os.getsid(0) == os.getpid(),
}}
socket.send_fds(warm, [b"+"], [0, 1, 2])
warm.sendall(json.dumps(order).encode() + b"\\n")
told = warm.makefile()
fork = int(told.readline())
passed_on = signal.SIGHUP, signal.SIGINT, signal.SIGTERM
for one in passed_on:
    signal.signal(one, lambda number, _: os.kill(fork, number))
code = int(told.readline())
told.read()  # until nobody watches any more
if code < 0:
    for one in passed_on:
        signal.signal(one, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


_OF_LIVEKIT = (
    "livekit.agents.beta.workflows",
    "livekit.agents.evals",
    "livekit.agents.llm.async_toolset",
    "livekit.agents.voice.report",
)


def import_all() -> None:
    """Import what a run of pytest imports, ours and what we build on."""
    import pytest_lkagent  # here, as in `main` it is for pytest to import it

    names = ["hypothesis.internal.observability", "syrupy.report", "yaml", *_OF_LIVEKIT]
    names += [
        module.name
        for module in pkgutil.walk_packages(pytest_lkagent.__path__, "pytest_lkagent.")
        if not module.name.endswith(("__main__", "simulation.child"))  # run, and not imported
    ]
    for name in names:
        importlib.import_module(name)


@contextmanager
def kept_warm(home: Path) -> Iterator[str]:
    """Keep one in this folder, and give the path to run it by."""
    caller, address = home / "python", str(home / "address")
    caller.write_text(_CALLER.format(python=sys.executable, address=address))
    caller.chmod(0o700)
    command = [sys.executable, __file__, address]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=home) as process:
        assert process.stdout is not None, "it has a pipe"
        assert process.stdout.readline() == b"warm\n"
        yield str(caller)


# --- the process itself


class _Imports:
    def pytest_collection(self) -> None:
        import_all()


def main() -> None:
    """Import all, and become what is asked for, in one fork after the other."""
    path = [entry for entry in sys.path[1:] if entry not in _added()]
    # by a run, as what is of a plugin has to be imported by what rewrites its assertions
    pytest.main(["-p", "no:cacheprovider", "-p", "no:terminal", "-c", os.devnull], [_Imports()])
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen()
        sys.stdout.write("warm\n")
        sys.stdout.flush()
        order = _serve(listener)
    if order is not None:
        _become(order, path)


def _serve(listener: socket.socket) -> Mapping[str, Any] | None:
    """Fork for each caller until standard input ends; return in the forks, with what to become."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run of pytest ends this process
    while 0 not in select.select([0, listener.fileno()], [], [])[0]:
        caller, _ = listener.accept()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                """Whoever watched a fork has done so."""
        with caller:
            if os.fork():
                continue
            _, streams, _, _ = socket.recv_fds(caller, 1, 3)
            with caller.makefile() as lines:
                order: Mapping[str, Any] = json.loads(lines.readline())
            if not (fork := os.fork()):
                for number, stream in enumerate(streams):
                    os.dup2(stream, number)
                    os.close(stream)
                return order
            _watch(fork, caller, leads=order["leads"])
            os._exit(0)
    return None


def _watch(fork: int, caller: socket.socket, *, leads: bool) -> None:
    """Tell the caller how the fork ends; where he ends first, he was killed, and so is the fork."""
    caller.sendall(b"%d\n" % fork)
    ended = os.pidfd_open(fork)
    if ended not in select.select([ended, caller.fileno()], [], [])[0]:
        (os.killpg if leads else os.kill)(fork, signal.SIGKILL)
    _, status = os.waitpid(fork, 0)
    with suppress(ConnectionError):
        caller.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _become(order: Mapping[str, Any], path: Sequence[str]) -> None:
    """Do what Python does with these arguments."""
    if order["leads"]:
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    first, *rest = order["arguments"]
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        is_buffered = first != "-u" and "PYTHONUNBUFFERED" not in os.environ
        stream = _like(getattr(sys, name), number, is_buffered=is_buffered)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    if first == "-u":
        first, *rest = rest
    sys.executable = order["executable"]
    sys.path[:] = ["" if first == "-c" else str(Path.cwd()), *_added(), *path]
    what = first[2:] or rest.pop(0)
    sys.argv[:] = [first[:2], *rest]
    if first.startswith("-m"):
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.modules["__main__"] = program = ModuleType("__main__")
        exec(what, vars(program))


def _added() -> list[str]:
    """Return what the environment adds to the path."""
    added = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return [str(Path(entry).absolute()) for entry in added if entry]


def _like(old: TextIO, number: int, *, is_buffered: bool) -> TextIO:
    """Make a stream for what its number stands for now, as Python does."""
    file = FileIO(number, "w" if number else "r", closefd=False)
    file.name = old.name
    buffer: Any = file
    if not number:
        buffer = BufferedReader(file)
    elif is_buffered:
        buffer = BufferedWriter(file)
    return TextIOWrapper(
        buffer,
        encoding=old.encoding,
        errors=old.errors,
        line_buffering=is_buffered and (number == 2 or file.isatty()),
        write_through=not is_buffered,
    )


if __name__ == "__main__":
    main()

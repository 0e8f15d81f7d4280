"""Ports of this machine, on which clients of another process ask."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import UsageError

__all__ = ["taking_port"]


@contextmanager
def taking_port(host: str, port: int) -> Iterator[None]:
    """Raise a `UsageError` where the port that is taken inside belongs to somebody else."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise UsageError(
            f"{host}:{port} is in use; leave the port away, and a free one is taken"
        ) from None

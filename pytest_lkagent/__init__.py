"""Test how a LiveKit voice agent behaves."""

__version__ = "0.1.0"

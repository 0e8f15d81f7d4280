"""Snapshots: a conversation as stable text, kept in a file and compared with on later runs."""

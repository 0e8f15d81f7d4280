"""The agent from outside: its real entrypoint, remote sessions, verdicts."""

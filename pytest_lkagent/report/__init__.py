"""Reports on a whole run: pure functions from results to what is written and shown."""

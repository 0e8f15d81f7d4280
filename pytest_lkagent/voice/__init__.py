"""A call: the session under test is spoken to, and answers aloud, on virtual time."""

"""The client API over real sockets, in front of sessions of the test's choice."""

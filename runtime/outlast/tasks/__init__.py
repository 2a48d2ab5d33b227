"""Tasks inside the agent process: the ledger, handles, the loops and threads that run them, the worker stream."""

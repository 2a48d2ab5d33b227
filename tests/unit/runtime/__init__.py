"""The ledger, the loops and who waits for the disk."""

"""Acceptance: real processes, started as people start them, spoken to over HTTP and gRPC."""

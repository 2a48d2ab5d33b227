"""The task manager over gRPC, on a real store."""

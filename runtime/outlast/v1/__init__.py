"""Generated from proto/outlast/v1 by `make proto`; never edited."""

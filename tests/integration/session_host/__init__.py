"""The session host."""

"""Processes of sessions: real ones, started, stopped and killed."""

"""Faults on purpose, against real processes, and a checker of what everybody was told meanwhile."""

"""A session host as a process, with real clients and real guests."""

"""The session host, part by part."""

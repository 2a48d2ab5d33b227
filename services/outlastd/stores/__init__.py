"""Stores: one port, an adapter for each database."""

"""Tests of what deploys outlast."""

"""Tests of the benchmarks' harness, and a run of each question that takes a moment."""

"""The domain: states, transitions, operations, errors. Pure: no await, no clock, the standard library only."""

"""The worker stream and the runtime against a real task manager."""

"""What the task manager does without a socket or a store."""

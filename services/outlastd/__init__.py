"""The services of outlast: front door, task manager, stores; who owns durable state and sockets."""

"""The front door: the HTTP server in the agent process, ``/invocations``, ``/ping`` and ``/tasks``."""

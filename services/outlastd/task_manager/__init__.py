"""The task manager: the gRPC service that owns every task's lifecycle, its log lines and its span."""

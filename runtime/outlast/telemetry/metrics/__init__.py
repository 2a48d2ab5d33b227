"""What is counted and timed, by OpenTelemetry's names, and its way out."""

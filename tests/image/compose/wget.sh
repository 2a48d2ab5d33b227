#!/bin/sh
# What compose.yaml asks Jaeger's image for its health with: here it is whether spans are taken.
exec python3 -c "import socket; socket.create_connection(('127.0.0.1', 4317), timeout=2)"

"""What it takes to bring up compose.yaml where PostgreSQL's and Jaeger's images cannot be had."""

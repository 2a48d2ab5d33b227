"""The original and outlast side by side: the same programs, the same requests, the same answers and log lines."""

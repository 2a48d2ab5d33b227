"""What every question uses: rounds, rows, started processes, environments of peers, the machine."""

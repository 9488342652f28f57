"""Traffic drivers: what sends a resource's traffic to its instances."""

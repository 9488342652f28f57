"""Instance drivers: what makes, moves and removes the copies of a resource on a host."""

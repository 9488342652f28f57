"""The way to a cloud's API: sessions, bounded retries, and its errors in one line."""

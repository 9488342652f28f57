"""From what metrics say, the gates, the guards and the destination to a decision: pure."""

"""The use cases: each joins the rooms below, reads the world first, and gives a planned change."""

"""Metric sources: each answers one query for many resources, on a regular UTC grid."""

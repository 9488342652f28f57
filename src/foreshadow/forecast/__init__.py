"""History in, quantiles out: Prophet's structure, a model of its residuals, and their proof.

Everything is plain numbers on a regular UTC grid. Prophet and pandas are imported only where a
structure is really fitted; predicting from stored coefficients needs numpy alone.
"""

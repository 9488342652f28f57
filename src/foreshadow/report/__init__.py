"""The report: one self-contained page with plots, from the ledger and from what clients saw.

Pure: facts come in as values, the page goes out as text. No script, nothing loaded from elsewhere.
"""

"""The conformance suites of the drivers, for ours and for a third party's.

Each suite is a class that a driver's own tests subclass, giving it a world to act in. The suite of
directors can also be run as it is, with one option of pytest: see ``docs/drivers.md``.
"""

"""The vocabulary of Foreshadow as frozen, typed values, and the protocols between its rooms.

Pure: nothing here reads a clock, a file or the network, and nothing of ours is imported from
outside this package.
"""

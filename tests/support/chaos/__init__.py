"""Breaking one thing at one instruction of a switchover, with real processes under load."""

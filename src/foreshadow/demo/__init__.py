"""What ``make demo`` runs: the main job on one machine, with the code that runs on a fleet.

Real agents, two real HAProxy processes, a small service whose latency really rises when its host
runs short, a load that replays a real trace, and the collection's own playbooks.
"""

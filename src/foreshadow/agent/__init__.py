"""The agent: one process on each host, which does there what controllers ask for.

It takes care of instances without being their parent in any way that matters: they run in
sessions of their own, are found again after the agent was restarted or killed, and are never
touched because it ends.
"""

"""Where a resource's shadows should stand: affinity terms, hard constraints, ranking, assignment.

Pure: the fleet as it is comes in as one :class:`~foreshadow.placement.fleet.Fleet`.
"""

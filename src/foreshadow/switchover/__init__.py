"""The journaled move of a resource's traffic from its primary to a shadow.

A plan (:mod:`.plan`) becomes steps (:mod:`.before`, :mod:`.after`), each written to the ledger
before and after it happens (:mod:`.engine`). The commit is the pivot: an error before it is undone
step by step, from it on there is only forward. What a dead controller left is finished or undone
by the same code under a new lease (:mod:`.recovery`).

Drivers, directors and state sync are passed in (:mod:`.stage`): nothing here knows an agent or a
load balancer.
"""

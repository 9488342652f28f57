"""How the state of a primary becomes a version on its shadows.

The source takes a *snapshot*: the captures of the spec find paths (:mod:`~foreshadow.sync.files`,
:mod:`~foreshadow.sync.profile`), :mod:`~foreshadow.sync.snapshot` hashes what changed and makes a
manifest. :mod:`~foreshadow.sync.send` offers it to a destination and pushes the contents that the
destination asks for. There, :mod:`~foreshadow.sync.receive` verifies all of it in a private folder
before :mod:`~foreshadow.sync.versions` makes it current with one rename.

How a version is laid out: a ``path`` of ``{state}`` is its root, ``{state}/data`` is ``data``, so
that ``live/`` on a shadow looks as ``live/`` on the primary. An absolute path, ``/etc/checkout``,
becomes ``absolute/etc/checkout``; once a host has a version with that folder, which is what its
service runs on, the path is read there.
"""

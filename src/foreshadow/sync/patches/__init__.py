"""Patches: what turns one content into the next, as copies out of the old one and new bytes.

:func:`~foreshadow.sync.patches.patch.make_patch` makes one, and
:func:`~foreshadow.sync.patches.patch.patched` applies it. A patch is checked in every number
before it is believed, and proves nothing: whoever applies one verifies the content's hash.
"""

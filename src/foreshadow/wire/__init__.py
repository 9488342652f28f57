"""How controllers and agents speak: messages, channels with mutual TLS, certificates, errors."""

import os

# gRPC would write lines of its own to standard error about what we tell in one line. It reads the
# variable when it is loaded; services that an agent starts must not find it. Set it to see them.
_VERBOSITY = "GRPC_VERBOSITY"
if _VERBOSITY not in os.environ:
    os.environ[_VERBOSITY] = "NONE"
    import grpc  # noqa: F401

    del os.environ[_VERBOSITY]

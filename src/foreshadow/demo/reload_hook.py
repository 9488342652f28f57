"""The service's ``reload`` hook: tells a running instance to take over the state that arrived."""

from __future__ import annotations

import http.client
import sys


def main() -> int:
    """Post to ``/reload`` of the instance at ``ADDRESS:PORT``, the only argument."""
    connection = http.client.HTTPConnection(sys.argv[1], timeout=5.0)
    connection.request("POST", "/reload")
    status = connection.getresponse().status
    return 0 if status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main())

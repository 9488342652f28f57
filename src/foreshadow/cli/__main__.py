"""``python -m foreshadow.cli`` is ``foreshadow``."""

import sys

from foreshadow.cli import main

sys.exit(main())

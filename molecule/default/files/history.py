"""Write three weeks of hourly demand that is about to rise: the daily peak is yet to come.

The wave is made up, with noise of a fixed seed. A scenario needs the peak to be ahead whenever it
runs; what a real trace does is shown by the demo.
"""

from __future__ import annotations

import math
import random
import sys
import time
from pathlib import Path

HOUR, DAY = 3600, 86400
FLOOR, RISE, SHARP, NOISE = 30.0, 65.0, 6, 2.0

noise = random.Random(7)
now = int(time.time() // HOUR * HOUR)
peak = now + 2.5 * HOUR
rows = ["ts,resource,rate"]
for at in range(now - 21 * DAY, now + HOUR, HOUR):
    near_peak = 0.5 + 0.5 * math.cos(2 * math.pi * (at - peak) / DAY)
    rows.append(f"{at},shop,{FLOOR + RISE * near_peak**SHARP + noise.gauss(0, NOISE):.3f}")
Path(sys.argv[1]).write_text("\n".join(rows) + "\n", encoding="utf-8")

"""Whether an alarm stands at the end of a history, and how likely the breach is."""

from __future__ import annotations

import numpy as np

from foreshadow.forecast.history import History
from foreshadow.forecast.outlook import Alarm
from foreshadow.forecast.trigger.events import LATEST
from foreshadow.forecast.trigger.features import features
from foreshadow.forecast.trigger.model import TriggerModel

HYSTERESIS = 0.7
"""How far below the cut, in log odds, the score has to fall before an alarm is off."""


def alarm(model: TriggerModel, history: History, threshold: float, budget: float) -> Alarm:
    """Return what the model says at the end of a history.

    The past hour is gone through again each time, so that an alarm needs no memory: it goes on
    above the cut, off clearly below it, and rests on what the history shows alone.

    :param threshold: in the units of the history.
    :param budget: false alarms in a week.
    """
    last = len(history.values) - 1
    origins = np.arange(max(0, last + 1 - history.cells(LATEST)), last + 1, dtype=np.int64)
    scores = model.scores(features(history.values, threshold, history.step, origins))
    cut, on = model.cut(budget), False
    for score in scores:
        on = bool(score > cut) or (on and bool(score > cut - HYSTERESIS))
    told = model.calibration.probability(np.array([scores[-1], min(cut, 1e9)]))
    return Alarm(round(float(told[0]), 4), on, round(float(told[1]), 4), model.onsets)

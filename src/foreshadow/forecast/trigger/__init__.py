"""From what a metric did to the probability that it passes its limit soon."""

"""From a recording to stalls with one cause each, and from those to findings. Pure functions."""

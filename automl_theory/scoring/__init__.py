"""From a space to a table of scores: the resumable store and the workers of this machine."""

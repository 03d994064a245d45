"""A condition that says what it is told to, on each track: for tests of what rests on others."""

from rules.truth import FALSE, NOW, SURE


class Said:
    def __init__(self):
        self.now = self.sure = FALSE

    def say(self, now, sure=None):
        self.now, self.sure = now, now if sure is None else sure

    def truth(self, track, at):
        return {NOW: self.now, SURE: self.sure}[track]

    def witness(self, track, at, scan):
        return self


def both(node, at):
    """What it says now, and surely."""
    return node.truth(NOW, at), node.truth(SURE, at)

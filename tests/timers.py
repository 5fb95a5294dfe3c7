"""Timers that fire when a test says so."""

from gated import settle


class Timers:
    """`call_later` with a clock of the test's own."""

    def __init__(self):
        self.pending = []

    def __call__(self, seconds, callback):
        timer = Timer(self, seconds, callback)
        self.pending.append(timer)
        return timer

    async def fire(self):
        for timer in list(self.pending):
            timer.cancel()
            timer.callback()
        await settle()


class Timer:
    def __init__(self, timers, seconds, callback):
        self.timers, self.seconds, self.callback = timers, seconds, callback

    def cancel(self):
        if self in self.timers.pending:
            self.timers.pending.remove(self)

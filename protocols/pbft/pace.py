"""Whether a primary orders as fast as it could.

After Aardvark (Clement et al., NSDI 2009), which demands sustained throughput of its primaries. One
that delays every proposal to just under the view's timer is never blamed by that. So each member
keeps, for the present view, a debt in milliseconds. A batch that ends a wait raises it by what the
wait was longer than allowed; a timely one pays back the time it took, and time itself pays back
slowly. Nothing is measured while nothing waits.

Allowed is a share of the best of the last n views, which rises slowly, so no demand is made that
nobody has met:
- while requests wait, the gap between batches: `GAP_MS_ALLOWED`, or the best view's over the share.
  Before n views have been measured there is no best: then whoever exceeds `GAP_MS_ALLOWED` is
  replaced, to see whether others can do better. n views later what all of them need is allowed.
- under backlog (a request is left behind that has waited longer than that), the operations of a
  batch at the best view's rate of operations times the share: many small batches are no way out.

The gap of a view is the mean over its waiting time, sum(w^2) / sum(w): a primary that is quick
between long waits cannot press it down, and with it what is allowed to others. A primary that
always stays within the share is not replaced; a request that waits for too long by itself is what
`Core.is_starving` is for. Integers only.
"""

from collections import deque

GAP_MS_ALLOWED = 400
"""Gaps up to here are always allowed: scheduling, a slow sync, a request that has to be relayed."""
DEBT_MS_MAX = 6_000
"""Beyond it the primary is too slow. One that lets 2 s pass each time gets there in 4 batches."""
REPAID_SHARE = 64
"""Of the time that passes, one part in so many is forgiven."""
SHARE_FIRST_PPM = 125_000
SHARE_STEP_PPM = 1_000
"""By which the demanded share rises with each batch."""
SHARE_MAX_PPM = 333_000
MEASURED_MS_MIN = 1_000
"""Waiting time after which a view has shown what its primary can do."""
PPM = 1_000_000


class Pace:
    """One member's account of the present primary, and what the last ones achieved."""

    def __init__(self, views: int) -> None:
        """`views`: how many of them are remembered, the number of members."""
        self._gaps_ms: deque[int] = deque(maxlen=views)
        self._rates: deque[int] = deque(maxlen=views)
        """Operations in 1000 s under backlog, of each view that had a backlog."""
        self._open_account(0)

    def begin_view(self, now_ms: int) -> None:
        """Close the account of the former primary and open the new one's."""
        if self._waited_ms >= MEASURED_MS_MIN:
            self._gaps_ms.append(self._squares // self._waited_ms)
        if self._backlog_ms >= MEASURED_MS_MIN:
            self._rates.append(self._backlog_operations * PPM // self._backlog_ms)
        self._open_account(now_ms)

    def _open_account(self, now_ms: int) -> None:
        self._last_ms = now_ms
        self._debt_ms = 0
        self._share_ppm = SHARE_FIRST_PPM
        self._waited_ms = self._squares = 0
        self._backlog_ms = self._backlog_operations = 0

    def is_too_slow(self) -> bool:
        return self._debt_ms > DEBT_MS_MAX

    def skip(self, now_ms: int) -> None:
        """Something was executed that the primary is not measured by."""
        self._last_ms = now_ms

    def on_batch(
        self, operations: int, since_ms: int | None, left_since_ms: int | None, now_ms: int
    ) -> None:
        """A batch was executed. `since_ms`: since when a request had waited before it, and
        `left_since_ms` after it; None when none did. An empty batch ends no wait."""
        if not operations:
            return
        last_ms, self._last_ms = self._last_ms, now_ms
        self._debt_ms = max(0, self._debt_ms - (now_ms - last_ms) // REPAID_SHARE)
        if since_ms is None:
            return
        wait_ms = now_ms - max(last_ms, since_ms)
        self._waited_ms += wait_ms
        self._squares += wait_ms * wait_ms
        self._share_ppm = min(SHARE_MAX_PPM, self._share_ppm + SHARE_STEP_PPM)
        allowed_ms = self._compute_gap_allowed_ms()
        if left_since_ms is not None and now_ms - left_since_ms > GAP_MS_ALLOWED:
            self._backlog_ms += wait_ms
            self._backlog_operations += operations
            allowed_ms = min(allowed_ms, self._compute_time_allowed_ms(operations, allowed_ms))
        if wait_ms > allowed_ms:
            self._debt_ms += wait_ms - allowed_ms
        else:
            self._debt_ms = max(0, self._debt_ms - wait_ms)

    def _compute_gap_allowed_ms(self) -> int:
        if len(self._gaps_ms) < (self._gaps_ms.maxlen or 0):
            return GAP_MS_ALLOWED
        return max(GAP_MS_ALLOWED, min(self._gaps_ms) * PPM // self._share_ppm)

    def _compute_time_allowed_ms(self, operations: int, otherwise_ms: int) -> int:
        """How long so many operations may take."""
        best = max(self._rates, default=0)
        if not best:
            return otherwise_ms
        return operations * PPM * PPM // (best * self._share_ppm)

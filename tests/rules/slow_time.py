"""The slow engine's half for conditions over the past of others: from the whole past at each instant, nothing updated.

`xs` are the truths of a part, one an instant of `times`; before the first instant everything was unknown.
"""

F, FU, U, TU, T = range(5)
DOUBT = {F: 0, FU: 1, U: 2, TU: 1, T: 0}


def clip(doubt, truth):
    """A remembered truth while something is in doubt: may raise, does not clear."""
    if doubt == 0:
        return truth
    if truth > U:
        return TU
    return U if doubt == 2 else max(truth, FU)


def side(truth, doubt):
    return {(True, False): T, (True, True): TU, (False, True): FU, (False, False): F}[truth, doubt]


def pair(first, second):
    """What two tracks say together."""
    if first == second:
        return first
    if {first, second} == {F, FU}:
        return FU
    return TU if {first, second} == {T, TU} else U


def both(judge):
    """The two tracks of a condition: the second never says more than the first."""
    now, sure = judge(0), judge(1)
    return now, [pair(first, second) for first, second in zip(now, sure, strict=True)]


def rises(xs):
    """At each instant: how certain it is that it became true there."""
    known, gap, out = U, False, []
    for x in xs:
        rose = known < U < x
        out.append(0 if not rose else T if (known, x, gap) == (F, T, False) else TU)
        gap = x == U or (gap and x == U)
        known = known if x == U else x
    return out


def doubtful(columns, times, n, within_s):
    """The worst doubt of any of the columns within the last `within_s`."""
    worst = 2 if times[0] + within_s > times[n] else 0
    for m in range(n + 1):
        ended = times[min(m + 1, n)]
        if m == n or ended + within_s > times[n]:
            worst = max(worst, *(DOUBT[column[m]] for column in columns))
    return worst


def least(doubt):
    return (F, FU, U)[doubt]


def held(for_s, xs, times):
    out = []
    for n, x in enumerate(xs):
        best = F
        for wanted in (FU, U, TU, T):
            m = n + 1
            while m > 0 and xs[m - 1] >= wanted:
                m -= 1
            since = float("inf") if m > n else times[m] if m or wanted > U else -float("inf")
            if since + for_s <= times[n]:
                best = wanted
        begun = None
        for m in range(n + 1):
            begun = None if xs[m] == F else times[m] if begun is None and xs[m] > U else begun
        if x > U and begun is not None and begun + for_s <= times[n]:
            best = max(best, TU)
        out.append(clip(DOUBT[x], best))
    return out


def times_(count, within_s, xs, times):
    grades, out = rises(xs), []
    for n, x in enumerate(xs):
        recent = [grades[m] for m in range(n + 1) if grades[m] and times[m] + within_s > times[n]]
        if recent.count(T) >= count:
            out.append(clip(DOUBT[x], T))
        else:
            out.append(TU if len(recent) >= count else least(doubtful([xs], times, n, within_s)))
    return out


def sequence(within_s, columns, times):
    graded = [rises(xs) for xs in columns]

    def complete(n, first, strict):
        """Is there a start, not longer than `within_s` before n, from which all parts follow each other up to n?"""
        moments = [[m for m in range(n + 1) if grades[m] >= first] for grades in graded]
        if n not in moments[-1]:
            return False
        ends = {m for m in moments[0] if times[m] + within_s >= times[n]}
        for following in moments[1:]:
            ends = {m for m in following for end in ends if (times[end] < times[m] if strict else end <= m)}
        return n in ends

    out = []
    for n, time in enumerate(times):
        recent = [m for m in range(n + 1) if times[m] + within_s > time]
        doubt = max(DOUBT[column[n]] for column in columns)
        if any(complete(m, T, True) for m in recent):
            out.append(clip(doubt, T))
        elif any(complete(m, TU, False) for m in recent):
            out.append(TU)
        else:
            out.append(least(doubtful(columns, times, n, 2 * within_s)))
    return out


def latch(sets, resets, track):
    """`sets` and `resets`: both tracks of each."""
    out, kept = [], [F, F]
    for now, sure, reset_now, reset_sure in zip(*sets, *resets, strict=True):
        if now > U:
            kept = [max(kept[0], now), max(kept[1], sure if sure > U else F)]
        elif reset_sure == T:
            kept = [F, F]
        one, reset = (sure, reset_sure) if track else (now, reset_now)
        doubt = max(DOUBT[one], DOUBT[reset])
        out.append(clip(doubt, kept[track] or U) if kept[0] else one)
    return out


def captured(ofs, moments):
    out, kept = [], U
    for of, moment, rose in zip(ofs, moments, rises(moments), strict=True):
        if rose:
            kept = of if rose == T else clip(1, of)
        elif moment == U:
            kept = clip(1, kept)
        out.append(kept)
    return out


def absence(within_s, afters, ofs, times, track):
    """`afters` and `ofs`: both tracks of each."""
    out, pending, grade, confirmed = [], None, T, False
    begun = [rises(column) for column in afters]
    for column, grades in zip(afters, begun, strict=True):
        first = next((n for n, x in enumerate(column) if x != U), None)
        if first is not None and column[first] > U:
            grades[first] = TU
    for n, time in enumerate(times):
        if begun[0][n] and pending is None:
            pending, grade, confirmed = time, begun[0][n], False
        if ofs[0][n] != F:
            grade = TU
        if ofs[1][n] == T:
            pending = None
        confirmed = confirmed or bool(begun[1][n])
        after, of = afters[track][n], ofs[track][n]
        doubt = max(DOUBT[after], DOUBT[of])
        if pending is None:
            out.append(clip(DOUBT[after], F))
        elif time < pending + within_s:
            out.append(clip(doubt, F))
        elif of == U:
            out.append(U)
        else:
            missing = min(T - of, grade)
            out.append(clip(doubt, missing if not track or confirmed else min(missing, U)))
    return out


def motion(frames, within_s, still):
    """The truth of each frame (None: no frame) of changed; of frozen with `still`."""
    seen, out = [], []
    for time, frame in frames:
        if frame is None:
            out.append(None)
            continue
        value, level = frame
        if level == 2:
            out.append(U)
            continue
        if seen and time - seen[-1][0] > within_s:
            seen = []
        seen.append((time, value, level))
        maybe = [m for m in range(1, len(seen)) if seen[m][1] != seen[m - 1][1]]
        sure, settled = [], seen[0][1]
        for m, (at, one, doubt) in enumerate(seen):
            if m and m not in maybe and one != settled and not doubt:
                settled = one
                sure.append(seen[max(k for k in maybe if k < m)][0])
            in_a_row = {m, m - 1} <= set(maybe)
            if in_a_row and not doubt and (m - 2 in maybe or one != seen[m - 2][1]):
                sure.append(at)
        if any(time - at < within_s for at in sure):
            truth = side(True, level != 0)
        elif any(time - seen[m][0] < within_s for m in maybe):
            truth = TU
        else:
            truth = side(False, level != 0) if time - seen[0][0] >= within_s else U
        out.append(T - truth if still else truth)
    return out

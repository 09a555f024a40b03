"""How near two alerts are: what explains what, and how it fades with hops and with time.

Owns the weights, all of them, and the arithmetic; pure. A weight lies between 0 and 1 and is the product of what the
classes say, of FADE per hop, and of a decay that halves with each fifth of `within` between the two onsets. The weights
are round: they were chosen for what they say to an operator, and the result hangs on none of them finely.
"""

from __future__ import annotations

import math

from imd.model.topology import AlertClass

_DOWN, _NET, _DISK, _WORKLOAD, _ERROR, _LATENCY, _SATURATION, _BACKGROUND = AlertClass

FADE = 0.75
"""What one hop leaves of a weight."""

JOIN = 0.2
"""The least weight that joins: one hop away, classes that explain each other, onsets within two fifths of `within`."""

MERGE = 0.15
"""The least weight at which an alert draws an incident that it explains as a whole into its own."""

SMALL = 4
"""Two incidents with more alerts than this each have stories of their own, and are merged by hand alone."""

BACKWARD = 0.35
"""What is left where the effect began first: what came before its cause has often another one."""

SIBLINGS = 0.8
"""Two that go down together in one container."""

BURST = 0.6
"""Two that begin together and depend on one thing; or that say the same within one container; or that are within one,
with nothing else known of them: that halves twice as fast."""

BURST_MAPPED = 0.5
"""What is left of BURST where the map has edges of both: it would mostly know how they hang together."""

BURST_FAR = math.log2(BURST / JOIN)
"""After so many halvings BURST has faded below JOIN."""

UNLIKE = 0.5
"""What is left of BURST where neither class explains the other, or the effect came first."""

COVER = 0.75
"""The share of an incident's first alerts that an alert must explain to be taken for its cause."""

SLOW = 2.0
"""A disk fills long before it stops what is on it: its effects fade so much slower."""

SLOW_HERE = 5.0
"""The same for what is on the disk itself."""

SLOW_TIED = 10.0
"""The same for what is tied to it by labels: a volume has hardly another effect."""

USUAL = 0.5
"""What is left where two fit only if both waited as their alerts usually do (`onset: usual`): people change that."""

LATE = 3.0
"""Controllers, queues and gauges report late (`for: 15m` is usual): so much slower, where `onset` knows no `for:`."""

EXPLAINS: dict[AlertClass, dict[AlertClass, float]] = {
    # cause: how well it explains each effect
    _DOWN: {_DOWN: 1.0, _NET: 1.0, _DISK: 0.5, _WORKLOAD: 1.0, _ERROR: 1.0, _LATENCY: 1.0, _SATURATION: 0.7},
    _NET: {_DOWN: 1.0, _NET: 1.0, _WORKLOAD: 1.0, _ERROR: 1.0, _LATENCY: 1.0, _SATURATION: 0.3},
    _DISK: {_DOWN: 1.0, _DISK: 1.0, _WORKLOAD: 0.7, _ERROR: 1.0, _LATENCY: 1.0, _SATURATION: 0.7},
    _WORKLOAD: {_DOWN: 1.0, _WORKLOAD: 0.7, _ERROR: 1.0, _LATENCY: 1.0, _SATURATION: 0.5},
    _ERROR: {_DOWN: 1.0, _ERROR: 1.0, _LATENCY: 1.0, _SATURATION: 0.5},
    _LATENCY: {_DOWN: 0.5, _ERROR: 1.0, _LATENCY: 1.0, _SATURATION: 0.5},
    _SATURATION: {
        _DOWN: 0.3, _DISK: 0.3, _WORKLOAD: 0.3, _ERROR: 0.3, _LATENCY: 0.3, _SATURATION: 0.3,
    },
    _BACKGROUND: {},
}  # fmt: skip

_EITHER = {
    one: {other: max(EXPLAINS[one].get(other, 0.0), EXPLAINS[other].get(one, 0.0)) for other in AlertClass}
    for one in AlertClass
}

FITS: dict[str, dict[AlertClass, dict[AlertClass, float]]] = {
    "same": _EITHER,
    "near": _EITHER,
    "cause": {one: {other: EXPLAINS[other].get(one, 0.0) for other in AlertClass} for one in AlertClass},
    "effect": {one: {other: EXPLAINS[one].get(other, 0.0) for other in AlertClass} for one in AlertClass},
}
"""By relation, class of the alert that is placed, and class of the other: the most that is left of a weight."""

LEFT_BACKWARD = max(BACKWARD, USUAL * 2.0 ** (-1.0 / SLOW))
"""The most that is left where the effect began before its cause, or hardly after it; also if both waited as usual."""

WAS_FIRST = {one: {other: fit * LEFT_BACKWARD for other, fit in fits.items()} for one, fits in FITS["effect"].items()}
"""As FITS, of an effect that did not begin clearly after its cause."""

GOES_DOWN = frozenset({_DOWN, _NET})
"""Classes in which siblings go down together."""

FAILS = frozenset({_ERROR, _LATENCY})
"""Classes that speak of requests: what depends on one thing begins to fail together."""

ASKED = FAILS | {_WORKLOAD}
"""Classes that do harm by not answering: along dependencies, and not to what is merely carried or contained. That a
unit of a host failed says nothing of the services on it."""

BURSTS = frozenset({_DOWN, _NET, _WORKLOAD, _ERROR, _LATENCY})
"""Classes of which a burst is made; disks and gauges run full on their own."""

ALIKE = frozenset(AlertClass) - {_SATURATION, _DISK}
"""Classes of which several of one name that begin at several places at once have one cause; disks and gauges run full
on their own."""

BEGIN_WITH = {
    _DOWN: GOES_DOWN,
    _NET: GOES_DOWN,
    _WORKLOAD: GOES_DOWN | {_WORKLOAD, _ERROR},
    _ERROR: GOES_DOWN | {_ERROR},
    _LATENCY: GOES_DOWN | {_ERROR},
}
"""With what a new alert of a class may begin a burst. What goes down is a cause: it is drawn to its like alone, not to
whatever complains at that instant. What is slow comes and goes by itself, and draws nothing. A workload in trouble is
mostly alone: it draws workloads, and harms along what is known to depend on it."""

_REPORTS_LATE = frozenset({_WORKLOAD, _SATURATION, _DISK})


FAR = 8.0
"""A gap of so many halvings is too wide for any two alerts: even LATE ones of one place have faded below JOIN."""


def explains(cause: AlertClass, effect: AlertClass) -> float:
    return EXPLAINS[cause].get(effect, 0.0)


def patience(earlier: AlertClass, later: AlertClass, onset_known: bool) -> float:
    """How much slower than usual the gap between these two fades. `onset_known`: of the later one."""
    if earlier is _DISK:
        return SLOW
    return LATE if later in _REPORTS_LATE and not onset_known else 1.0


def decay(gap: float, half: float) -> float:
    """The share that a gap of so many seconds leaves, with `half` seconds to a half."""
    return float(2.0 ** (-abs(gap) / half))


def from_cause(cause: AlertClass, effect: AlertClass, gap: float, half: float, known: bool) -> float:
    """What classes and onsets leave of a weight, the cause having begun `gap` seconds before its effect. `known`: the
    `for:` of whichever began later is. Rules are evaluated every half minute or so: that much is not yet backward."""
    weight = EXPLAINS[cause].get(effect, 0.0)
    if not weight:
        return 0.0
    slower = patience(cause, effect, known) if gap >= 0 else patience(effect, cause, known)
    weight *= decay(gap, half * slower)
    return weight if gap >= -half / 2 else weight * BACKWARD


def from_effect(cause: AlertClass, effect: AlertClass, gap: float, half: float, known: bool) -> float:
    """The same where the alert that is placed is the cause and its effect was there first. Only a cause that began
    clearly before has the full weight: most of what merely coincides with an effect is not its cause."""
    weight = from_cause(cause, effect, gap, half, known)
    return weight if gap > half or gap < -half / 2 else weight * BACKWARD


def in_one_place(one: AlertClass, other: AlertClass, gap: float, half: float, known: bool, tied: bool) -> float:
    """On one and the same entity, or on two that are `tied` by labels, it does not matter which of two explains the
    other. `one` began first."""
    weight = max(EXPLAINS[one].get(other, 0.0), EXPLAINS[other].get(one, 0.0))
    if not weight:
        return 0.0
    slower = (SLOW_TIED if tied else SLOW_HERE) if one is _DISK else patience(one, other, known)
    return weight * decay(gap, half * slower)

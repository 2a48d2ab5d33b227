"""When a run of a session has to end (contract section 3).

Times are seconds of one clock that only goes forward, whichever: what a guest says in Unix seconds is carried over when
it is heard, so a wall clock that jumps ends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from outlast.core.session import EndReason


@dataclass(frozen=True, slots=True)
class SessionRules:
    """How long a session may live, idle, and leave its pings without an answer, in seconds."""

    idle_timeout: float
    max_lifetime: float
    unhealthy_after: float


@dataclass(frozen=True, slots=True)
class Activity:
    """What is known of a run that is ready."""

    #: When the run began: its lifetime counts from there, and is never extended.
    started_at: float
    #: When it was last seen at work: a use ended, a sign of life came, a ping said HealthyBusy, or it became ready.
    used_at: float
    #: Uses that have not ended.
    in_flight: int = 0
    #: What the last ping that was answered said: whether HealthyBusy, and since which Unix second.
    says_busy: bool = False
    reported: int | None = None
    #: Since when it says so.
    changed_at: float = 0.0
    #: Since when pings fail, and why the last one did; None while they are answered.
    failing_since: float | None = None
    failure: str = ""


def began(started_at: float, now: float) -> Activity:
    """Return what is known of a run that has just become ready."""
    return Activity(started_at, used_at=now, changed_at=now)


def use_began(activity: Activity) -> Activity:
    """Return what is known once one more use is in flight."""
    return replace(activity, in_flight=activity.in_flight + 1)


def use_ended(activity: Activity, now: float) -> Activity:
    """Return what is known once one use less is in flight: the idle clock begins anew."""
    return replace(activity, in_flight=activity.in_flight - 1, used_at=now)


def touched(activity: Activity, now: float) -> Activity:
    """Return what is known after a sign of life: the idle clock begins anew."""
    return replace(activity, used_at=now)


def answered(activity: Activity, says_busy: bool, reported: int | None, now: float, unix_now: float) -> Activity:
    """Return what is known after a ping that was answered.

    ``reported`` is the guest's ``time_of_last_update``; None when it says nothing that can be meant. The guest's word
    on when its status changed is taken, also when the status is as before: a guest that stamps every answer is never
    idle, and lives for as long as it may (contract section 1.2). A time that is yet to come is not taken: then the
    status changed when it was first seen.
    """
    turned = says_busy != activity.says_busy
    changed_at = now if turned else activity.changed_at
    # Carried over once, when it is new: the wall clock may jump later.
    if (turned or reported != activity.reported) and reported is not None and 0 <= reported <= unix_now:
        changed_at = now - (unix_now - reported)
    return replace(
        activity,
        says_busy=says_busy,
        reported=reported,
        changed_at=changed_at,
        # A guest whose stamp never moves has still been at work for as long as it said so.
        used_at=now if says_busy else activity.used_at,
        failing_since=None,
        failure="",
    )


def unanswered(activity: Activity, failure: str, now: float) -> Activity:
    """Return what is known after a ping that has failed."""
    since = now if activity.failing_since is None else activity.failing_since
    return replace(activity, failing_since=since, failure=failure)


def busy(activity: Activity) -> bool:
    """Tell whether the session is at work: a use is in flight, or the guest says HealthyBusy."""
    return activity.in_flight > 0 or activity.says_busy


def idle_since(activity: Activity) -> float | None:
    """Return since when the session is idle; None while it is at work."""
    return None if busy(activity) else max(activity.used_at, activity.changed_at)


def due(activity: Activity, rules: SessionRules, now: float) -> tuple[EndReason, str] | None:
    """Return why the run has to end now, and that for people; None when it may go on."""
    if now >= activity.started_at + rules.max_lifetime:
        return EndReason.MAX_LIFETIME, f"it has lived for the {rules.max_lifetime:g} s that it may"
    if activity.failing_since is not None and now >= activity.failing_since + rules.unhealthy_after:
        return EndReason.UNHEALTHY, f"/ping has failed for {rules.unhealthy_after:g} s: {activity.failure}"
    idle = idle_since(activity)
    if idle is not None and now >= idle + rules.idle_timeout:
        return EndReason.IDLE_TIMEOUT, f"it was idle for {rules.idle_timeout:g} s"
    return None


def next_look(activity: Activity, rules: SessionRules) -> float:
    """Return when the run has to end if nothing happens until then."""
    times = [activity.started_at + rules.max_lifetime]
    if activity.failing_since is not None:
        times.append(activity.failing_since + rules.unhealthy_after)
    idle = idle_since(activity)
    if idle is not None:
        times.append(idle + rules.idle_timeout)
    return min(times)

"""Has a fault happen to a cluster at its moment, and has all be well again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import ExitStack

from .callers import Callers
from .cluster import Cluster, Struck
from .faults import Fault, Kind, Moment, Target
from .history import History
from .plan import Plan, plan
from .proxy import Proxy, Way

#: Invocations that are under way when a fault strikes; what their tasks take when they are to be at work, or to end.
BURST = 4
LONG = 1.5
SHORT = 0.3
#: Seconds for something to be caught on its way, which not every moment has.
CATCH = 1.0
#: Seconds within which an agent takes work again.
RECOVERY = 25.0


class Injector:
    """Strikes the members of one cluster."""

    def __init__(self, cluster: Cluster, callers: Callers, history: History, choice: random.Random) -> None:
        self._cluster = cluster
        self._callers = callers
        self._history = history
        self._choice = choice

    async def inject(self, fault: Fault) -> None:
        """Have one fault happen, and return once every agent takes work again."""
        self._history.write("fault", fault=str(fault))
        struck, ways = self._struck(fault), self._ways(fault)
        with ExitStack() as held:
            for way in ways:
                held.callback(way.heal)
            if fault.moment is Moment.BEFORE_COMMIT and not self._cluster.managers:
                held.enter_context(self._cluster.locked_store())
            burst = await self._come_to(fault, ways)
            await self._strike(fault, struck, ways, held)
        self._history.write("healed", fault=str(fault))
        await asyncio.gather(*burst)
        await self._recovered(fault)

    # -- the moment ----------------------------------------------------------------------------------------------------

    async def _come_to(self, fault: Fault, ways: Sequence[Proxy]) -> list[asyncio.Task[bool]]:
        """Bring the moment about; return the invocations that may still be under way."""
        match fault.moment:
            case Moment.BEFORE_COMMIT:
                return await self._caught(ways, Way.UP)
            case Moment.BEFORE_REPLY:
                return await self._caught(ways, Way.DOWN)
            case Moment.WORKING:
                burst = self._burst(LONG)
                await asyncio.wait(burst, timeout=CATCH)
                return burst
            case Moment.COMPLETING:
                burst = self._burst(SHORT)
                await asyncio.sleep(SHORT * self._choice.uniform(0.5, 0.9))
                held = Way.UP if fault.ends_held else Way.DOWN
                for way in ways:
                    way.hold(held)
                await asyncio.sleep(SHORT * 0.7)
                return burst

    async def _caught(self, ways: Sequence[Proxy], held: Way) -> list[asyncio.Task[bool]]:
        """Hold what the members say on one way, start work, and wait until some of it hangs there."""
        for way in ways:
            way.hold(held)
        burst = self._burst(SHORT)
        catches = [asyncio.create_task(way.caught(held)) for way in ways]
        if catches:
            await asyncio.wait(catches, timeout=CATCH, return_when=asyncio.FIRST_COMPLETED)
        for catch in catches:
            catch.cancel()
        # A sign of life may have been the first; the work is a moment behind it at the most.
        await asyncio.sleep(self._choice.uniform(0.02, 0.2))
        return burst

    def _burst(self, seconds: float) -> list[asyncio.Task[bool]]:
        agents = len(self._cluster.agents)
        calls = [(number % agents, [self._plan(seconds), self._plan(seconds)]) for number in range(BURST)]
        return [asyncio.create_task(self._callers.invoke(agent, self._choice, plans)) for agent, plans in calls]

    def _plan(self, seconds: float) -> Plan:
        return plan(self._choice, seconds)

    # -- the strike ----------------------------------------------------------------------------------------------------

    def _struck(self, fault: Fault) -> list[Struck]:
        cluster = self._cluster
        match fault.target:
            case Target.AGENT:
                return [cluster.agents[fault.which % len(cluster.agents)]]
            case Target.MANAGER:
                return [*cluster.managers]
            case Target.REPLICA:
                return [cluster.managers[fault.which]]
            case Target.DATABASE:
                assert cluster.database is not None
                return [cluster.database]

    def _ways(self, fault: Fault) -> list[Proxy]:
        """Return the ways that lead from or to those who are struck, over which starts and ends travel."""
        cluster = self._cluster
        match fault.target:
            case Target.AGENT if not cluster.managers:
                which = fault.which % len(cluster.agents)
                return [cluster.front_doors[which], cluster.task_services[which]]
            case Target.AGENT:
                return [way for (agent, _), way in cluster.worker_ways.items() if agent == fault.which]
            case Target.MANAGER:
                return [*cluster.worker_ways.values()]
            case Target.REPLICA:
                workers = [way for (_, replica), way in cluster.worker_ways.items() if replica == fault.which]
                return [*workers, cluster.database_ways[fault.which]] if fault.silent else workers
            case Target.DATABASE:
                return cluster.database_ways

    async def _strike(self, fault: Fault, struck: list[Struck], ways: list[Proxy], held: ExitStack) -> None:
        self._history.write("strike", fault=str(fault))
        match fault.kind:
            case Kind.KILL:
                await asyncio.gather(*(member.kill() for member in struck))
                await _again(struck, held)
            case Kind.STOP:
                stops = [asyncio.create_task(member.stop()) for member in struck]
                if fault.target is Target.DATABASE:
                    # It would wait a minute for the first word of whoever connects now, and is held.
                    await asyncio.sleep(SHORT)
                    held.close()
                await asyncio.gather(*stops)
                await _again(struck, held)
            case Kind.PAUSE:
                for member in struck:
                    member.pause()
                await asyncio.sleep(fault.seconds)
                for member in struck:
                    member.resume()
            case Kind.CUT:
                for way in ways:
                    if fault.silent:
                        way.hold(*Way)
                    else:
                        way.cut()
                await asyncio.sleep(fault.seconds)

    async def _recovered(self, fault: Fault) -> None:
        """Wait until every agent takes work; one that does not within its time is on record."""
        for agent in range(len(self._cluster.agents)):
            try:
                async with asyncio.timeout(RECOVERY):
                    taken = False
                    while not taken:
                        taken = await self._callers.invoke(agent, self._choice, [self._plan(0)])
                        await asyncio.sleep(0.1)
            except TimeoutError:
                self._history.write("down", agent=agent, fault=str(fault))


async def _again(struck: list[Struck], held: ExitStack) -> None:
    """Start those who have ended; what was on its way from them arrives before."""
    held.close()
    await asyncio.gather(*(member.start() for member in struck))

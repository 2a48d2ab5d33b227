"""WatchTask by many: python -m benchmarks.load.watchers HOST:PORT --connections 2, and on standard input a JSON array
of task ids, one for each watcher.

Says how many watch once each has seen its task's first event. Then a number on a line has it wait until each watcher
has seen so many events more, and say how long after their sending they came (load/events.py writes into each when it
was sent), and how much processor time it has used meanwhile.
"""

from __future__ import annotations

import argparse
import json
import select
import sys
import time
from collections.abc import Sequence

from benchmarks.load.http2 import Connection
from outlast.v1.task_pb2 import TaskEvent
from outlast.v1.task_service_pb2 import WatchTaskRequest, WatchTaskResponse

METHOD = "/outlast.v1.TaskService/WatchTask"
#: Seconds without any event before it counts as lost.
PATIENCE = 15.0


class Watchers:
    """The watchers of one process."""

    def __init__(self, address: str, connections: int, task_ids: Sequence[int]) -> None:
        self._connections = [Connection(address) for _ in range(connections)]
        #: The generation that each watcher saw last, by connection and stream.
        self._seen: dict[tuple[int, int], int] = {}
        for number, task_id in enumerate(task_ids):
            connection = self._connections[number % connections]
            message = WatchTaskRequest(name=f"tasks/{task_id}").SerializeToString()
            self._seen[connection.fileno(), connection.call(METHOD, message)] = 0

    def receive(self, events_each: int) -> dict[str, object]:
        """Wait until each watcher has seen so many events more; return how many nanoseconds each was on its way."""
        arrived: list[tuple[int, tuple[int, int], bytes]] = []
        missing = events_each * len(self._seen)
        began = time.process_time_ns()
        while len(arrived) < missing:
            ready, _, _ = select.select(self._connections, (), (), PATIENCE)
            if not ready:
                raise SystemExit(f"{missing - len(arrived):,} of {missing:,} events did not come")
            for connection in ready:
                at, messages = connection.read()
                number = connection.fileno()
                arrived += [(at, (number, stream), message) for stream, message in messages]
        cpu = time.process_time_ns() - began
        return {"nanoseconds": [self._age(*each) for each in arrived], "cpu": cpu / 1e9}

    def _age(self, at: int, watcher: tuple[int, int], message: bytes) -> int:
        """Return how long an event was on its way; it has to be the next of its task."""
        event = WatchTaskResponse.FromString(message).event
        if event.generation != self._seen[watcher] + 1:
            raise SystemExit(f"event {event.generation} came after {self._seen[watcher]}")
        self._seen[watcher] = event.generation
        return at - int(event.progress.message) if event.kind == TaskEvent.PROGRESSED else 0


def main() -> None:
    """Parse the command line and watch until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="HOST:PORT of a task manager")
    parser.add_argument("--connections", type=int, default=2)
    options = parser.parse_args()
    task_ids = json.loads(sys.stdin.readline())
    watchers = Watchers(options.address, options.connections, task_ids)
    watchers.receive(1)
    print(json.dumps(len(task_ids)), flush=True)
    while line := sys.stdin.readline():
        print(json.dumps(watchers.receive(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()

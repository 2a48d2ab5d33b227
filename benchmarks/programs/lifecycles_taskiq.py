"""The same tasks for Taskiq, on a Redis stream with acknowledgements.

Workers: taskiq worker lifecycles_taskiq:broker. Load: python lifecycles_taskiq.py TASKS PRODUCERS. REDIS says where.
"""

import asyncio
import logging
import os
import sys
from typing import Annotated, Any

import redis
from producing import measure, until
from taskiq import TaskiqDepends
from taskiq.depends.progress_tracker import ProgressTracker, TaskState
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

URL = os.environ["REDIS"]
#: Tasks that one producer gives to the queue at a time: their writes share a sync of the disk.
AT_A_TIME = 32

backend = RedisAsyncResultBackend(f"{URL}/1")
# The consumer group is made before the workers come, so that nothing is missed: from the beginning.
broker = RedisStreamBroker(f"{URL}/0", consumer_id="0").with_result_backend(backend)
log = logging.getLogger(__name__)


@broker.task(task_name="research")
async def research(number: int, progress: Annotated[ProgressTracker[Any], TaskiqDepends()]):
    await progress.set_progress(TaskState.STARTED, {"fraction": 0})
    for step in range(3):
        await progress.set_progress("PROGRESS", {"fraction": (step + 1) / 4, "message": f"step {step + 1}"})
    log.info("research has ended: %s", number)  # Taskiq's own line says that it begins
    return {"answer": number}


def produce(numbers, go):
    async def main():
        await broker.startup()
        go()
        ids, numbers_left = [], iter(numbers)

        async def one_by_one():
            for number in numbers_left:
                ids.append((await research.kiq(number)).task_id)

        await asyncio.gather(*(one_by_one() for _ in range(AT_A_TIME)))
        await broker.shutdown()
        return ids

    return asyncio.run(main())


def wait(ids):
    client = redis.Redis.from_url(f"{URL}/0")

    def all_acknowledged():
        (group,) = client.xinfo_groups("taskiq")
        return group["lag"] == 0 and group["pending"] == 0

    until(all_acknowledged)


def check(ids):
    kept = redis.Redis.from_url(f"{URL}/1").mget(ids)
    results = [backend.serializer.loadb(each) for each in kept if each]
    return sum(not each["is_err"] and "answer" in each["return_value"] for each in results)


if __name__ == "__main__":
    measure(produce, wait, check, *map(int, sys.argv[1:]))

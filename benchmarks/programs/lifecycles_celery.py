"""The same tasks for Celery with Redis as broker and result backend.

Workers: celery -A lifecycles_celery worker. Load: python lifecycles_celery.py TASKS PRODUCERS. REDIS says where.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import redis
from celery import Celery
from producing import measure, until

URL = os.environ["REDIS"]
#: Tasks that one producer gives to the queue at a time: their writes share a sync of the disk.
AT_A_TIME = 8

app = Celery("lifecycles_celery", broker=f"{URL}/0", backend=f"{URL}/1")
app.conf.update(
    task_acks_late=True,  # durable: a task is not gone before it has ended
    task_reject_on_worker_lost=True,
    task_track_started=True,
    worker_prefetch_multiplier=64,  # as its guide to optimizing has it for many short tasks
    broker_pool_limit=32,
    redis_max_connections=64,
)


@app.task(bind=True, name="research")
def research(self, number):
    for step in range(3):
        self.update_state(state="PROGRESS", meta={"fraction": (step + 1) / 4, "message": f"step {step + 1}"})
    return {"answer": number}


def produce(numbers, go):
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        go()
        return [handle.id for handle in pool.map(research.delay, numbers)]


def wait(ids):
    broker = redis.Redis.from_url(f"{URL}/0")
    # Acknowledged is what has left both, and it is so after its result is kept; on its way from one to the other it is
    # in neither.
    until(lambda: not broker.llen("celery") and not broker.hlen("unacked"))
    until(lambda: check(ids) == len(ids))


def check(ids):
    backend = redis.Redis.from_url(f"{URL}/1")
    kept = backend.mget(app.backend.get_key_for_task(task_id) for task_id in ids)
    states = [app.backend.decode(each) for each in kept if each]
    return sum(state["status"] == "SUCCESS" and "answer" in state["result"] for state in states)


if __name__ == "__main__":
    measure(produce, wait, check, *map(int, sys.argv[1:]))

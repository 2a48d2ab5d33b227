"""What the loads for other task queues have in common: producers that begin together, and a clock."""

import json
import multiprocessing
import time


def until(holds):
    """Ask 50 times a second: often enough, and it costs nobody anything."""
    while not holds():
        time.sleep(0.02)


def _produce(produce, numbers, barrier, made):
    made.put(produce(numbers, barrier.wait))


def measure(produce, wait, check, tasks, producers):
    """Time `tasks` tasks from the first one that is given to the queue to the end of the last, and print that as JSON.

    `produce(numbers, go)` calls `go` when it is connected, gives a task for each number to the queue and returns their
    ids; `wait(ids)` returns when all have ended; `check(ids)` says how many have a result on record.
    """
    processes = multiprocessing.get_context("spawn")
    barrier, made = processes.Barrier(producers + 1), processes.Queue()
    started = [
        processes.Process(target=_produce, args=(produce, range(first, tasks, producers), barrier, made), daemon=True)
        for first in range(producers)
    ]
    for process in started:
        process.start()
    barrier.wait(60)
    began = time.perf_counter()
    ids = [task_id for _ in started for task_id in made.get(timeout=120)]
    wait(ids)
    seconds = time.perf_counter() - began
    print(json.dumps({"tasks": tasks, "completed": check(ids), "began": began, "seconds": seconds}), flush=True)

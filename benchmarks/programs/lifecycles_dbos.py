"""The same tasks for DBOS on PostgreSQL: a workflow with three steps, started in the background.

Load and worker in one, as with outlast: python lifecycles_dbos.py TASKS PROCESSES. POSTGRES says where.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import psycopg
from dbos import DBOS
from producing import measure

URL = os.environ["POSTGRES"]
#: Workflows at a time in each process.
AT_A_TIME = 16


@DBOS.step()
def report(fraction, message):
    return {"fraction": fraction, "message": message}


@DBOS.workflow(name="research")
def research(number):
    DBOS.logger.info(f"research has begun: {DBOS.workflow_id}")
    for step in range(3):
        report((step + 1) / 4, f"step {step + 1}")
    DBOS.logger.info(f"research has ended: {DBOS.workflow_id}")
    return {"answer": number}


def run(number):
    handle = DBOS.start_workflow(research, number)
    assert handle.get_result() == {"answer": number}
    return handle.workflow_id


def produce(numbers, go):
    config = {
        "name": "lifecycles",
        "system_database_url": URL,
        "sys_db_pool_size": AT_A_TIME + 4,
        "executor_id": f"process-{numbers[0]}",
        "application_version": "1",
    }
    DBOS(config=config)
    DBOS.launch()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        go()
        ids = list(pool.map(run, numbers))
    DBOS.destroy()
    return ids


def wait(ids):
    pass  # each was waited for by who started it


def check(ids):
    with psycopg.connect(URL) as connection:
        query = """
            SELECT count(*) FROM dbos.workflow_status AS workflow
              JOIN dbos.workflow_output AS kept USING (workflow_uuid)
             WHERE workflow_uuid = ANY(%s) AND status = 'SUCCESS' AND kept.output IS NOT NULL
               AND (SELECT count(*) FROM dbos.operation_outputs AS step
                     WHERE step.workflow_uuid = workflow.workflow_uuid) = 3
        """
        return connection.execute(query, [ids]).fetchone()[0]


if __name__ == "__main__":
    measure(produce, wait, check, *map(int, sys.argv[1:]))

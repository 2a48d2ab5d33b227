"""The same tasks for Procrastinate on PostgreSQL. It keeps no progress and no results: tables of the program's own do.

Workers: procrastinate --app=lifecycles_procrastinate.app worker. Load: python lifecycles_procrastinate.py TASKS
PRODUCERS, or set-up once before. POSTGRES says where.
"""

import asyncio
import os
import sys

import procrastinate
import psycopg
from producing import measure, until

URL = os.environ["POSTGRES"]
#: Jobs in one call of batch_defer.
BATCH = 100
TABLES = """
    CREATE TABLE research_progress (job_id bigint, fraction float, message text, at timestamptz DEFAULT now());
    CREATE TABLE research_results (job_id bigint PRIMARY KEY, result jsonb, at timestamptz DEFAULT now());
"""

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=URL, min_size=4, max_size=20))


@app.task(name="research", pass_context=True)
async def research(context, number):
    for step in range(3):
        await app.connector.execute_query_async(
            "INSERT INTO research_progress (job_id, fraction, message) VALUES (%(job_id)s, %(fraction)s, %(message)s)",
            job_id=context.job.id,
            fraction=(step + 1) / 4,
            message=f"step {step + 1}",
        )
    await app.connector.execute_query_async(
        "INSERT INTO research_results (job_id, result) VALUES (%(job_id)s, %(result)s)",
        job_id=context.job.id,
        result={"answer": number},
    )


def produce(numbers, go):
    async def main():
        async with app.open_async():
            go()
            ids = []
            for first in range(0, len(numbers), BATCH):
                batch = ({"number": number} for number in numbers[first : first + BATCH])
                ids += await research.batch_defer_async(*batch)
            return ids

    return asyncio.run(main())


def wait(ids):
    with psycopg.connect(URL, autocommit=True) as connection:

        def ended(some):
            query = "SELECT count(*) FROM procrastinate_jobs WHERE id = ANY(%s) AND status IN ('todo', 'doing')"
            return connection.execute(query, [some]).fetchone() == (0,)

        # Jobs are taken in the order of their ids: while the last ones have not ended, nobody need count the others.
        until(lambda: ended([max(ids)]))
        until(lambda: ended(ids))


def check(ids):
    with psycopg.connect(URL) as connection:
        query = """
            SELECT count(*) FROM procrastinate_jobs JOIN research_results ON job_id = id
             WHERE id = ANY(%s) AND status = 'succeeded' AND result ? 'answer'
               AND (SELECT count(*) FROM research_progress AS reported WHERE reported.job_id = id) = 3
        """
        return connection.execute(query, [ids]).fetchone()[0]


def set_up():
    with app.open():
        app.schema_manager.apply_schema()
    with psycopg.connect(URL) as connection:
        connection.execute(TABLES)


if __name__ == "__main__":
    if sys.argv[1] == "set-up":
        set_up()
    else:
        measure(produce, wait, check, *map(int, sys.argv[1:]))

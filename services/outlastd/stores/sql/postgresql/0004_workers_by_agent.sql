-- compatible-from: 1
-- Who could run a new task is asked for each. What a worker says of its agent never changes: signs of life, which do
-- change its row, are still written in place.
CREATE INDEX workers_by_agent ON workers (agent);

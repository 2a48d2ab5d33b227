# One image for an agent, a task manager and a session host: `docker build -t outlast .`
#
#   docker run -p 8080:8080 -v "$PWD/agent.py:/app/agent.py:ro" outlast run agent.py
#   docker run -p 50051:50051 --env-file tokens.env outlast task-manager --store postgresql://…
#   docker run -p 8080:8080 --env-file tokens.env -v "$PWD/agent.py:/app/agent.py:ro" outlast host agent.py
#
# Everything that is written goes to /app/.outlast: with a volume there, `--read-only` does no harm. An agent with
# dependencies is an image of its own:
#
#   FROM outlast
#   USER root
#   RUN pip install strands-agents
#   USER 1000:1000
#   COPY agent.py .
#   CMD ["run", "agent.py"]
ARG BASE=python:3.13-slim

# What is to be installed, apart from the rest of pyproject.toml: a change there leaves the layers below as they are.
FROM ${BASE} AS requirements
WORKDIR /src
COPY pyproject.toml ./
RUN python3 -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
extras = project['optional-dependencies']; \
print(*project['dependencies'], *extras['host'], *extras['postgres'], *extras['prometheus'], sep='\n')" > requirements.txt

FROM ${BASE} AS dependencies
WORKDIR /src
COPY requirements.lock ./
COPY --from=requirements /src/requirements.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /opt/outlast \
    && /opt/outlast/bin/pip install --quiet --constraint requirements.lock --requirement requirements.txt

# The wheel, and what it installs, in a folder of its own.
FROM dependencies AS wheel
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /opt/build \
    && /opt/build/bin/pip install --quiet --constraint requirements.lock hatchling
COPY . ./
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/outlast/bin/pip install --quiet --no-deps --no-warn-script-location --prefix /installed /wheels/*.whl

FROM ${BASE}
LABEL org.opencontainers.image.title="outlast" \
      org.opencontainers.image.description="An open, self-hosted runtime for agents whose work outlasts the request" \
      org.opencontainers.image.licenses="Apache-2.0"

# A new named volume gets the owner and the mode of the folder that it is mounted on.
RUN useradd --uid 1000 --user-group --home-dir /app --no-create-home --shell /usr/sbin/nologin outlast \
    && install --directory /app \
    && install --directory --owner 1000 --group 1000 /app/.outlast
COPY --from=dependencies /opt/outlast /opt/outlast
COPY --from=wheel /installed /opt/outlast

# Listen on all addresses, but for an agent's gRPC without a token. Callers from elsewhere are not told what a handler
# raised: the log is. Temporary files go to the volume, as nothing else may be there that can be written. The page for
# Prometheus is served only where OTEL_METRICS_EXPORTER asks for it.
ENV PATH=/opt/outlast/bin:$PATH \
    OUTLAST_CONTAINER=1 \
    OUTLAST_ERROR_DETAIL=off \
    OTEL_EXPORTER_PROMETHEUS_HOST=0.0.0.0 \
    PYTHONUNBUFFERED=1 \
    TMPDIR=/app/.outlast
WORKDIR /app
VOLUME /app/.outlast
USER 1000:1000
EXPOSE 8080 50051
STOPSIGNAL SIGTERM

HEALTHCHECK --interval=10s --timeout=6s --start-period=30s --retries=3 CMD ["outlast", "health"]
ENTRYPOINT ["outlast"]
CMD ["--help"]

# An image with the `outlast` command: `docker build -t outlast .`. An agent that needs nothing else is mounted:
#
#   docker run -p 8080:8080 -v "$PWD/agent.py:/app/agent.py:ro" outlast run agent.py
#
# One with dependencies is an image of its own:
#
#   FROM outlast
#   USER root
#   RUN pip install strands-agents
#   USER 1000
#   COPY agent.py .
#   CMD ["run", "agent.py"]
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
RUN python3 -m venv /opt/outlast
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/outlast/bin/pip wheel --quiet --no-deps --wheel-dir /wheels . \
    && /opt/outlast/bin/pip install --quiet --constraint requirements.lock "$(echo /wheels/*.whl)[host,postgres]"

FROM ${BASE}
LABEL org.opencontainers.image.title="outlast" \
      org.opencontainers.image.description="An open, self-hosted runtime for agents whose work outlasts the request" \
      org.opencontainers.image.licenses="Apache-2.0"

RUN useradd --uid 1000 --home-dir /app --no-create-home outlast \
    && install --directory --owner outlast --group outlast /app /app/.outlast
COPY --from=build /opt/outlast /opt/outlast

# DOCKER_CONTAINER is how the front door knows to listen on all addresses of the container. Callers from elsewhere
# are not told what a handler raised: the log is.
ENV PATH=/opt/outlast/bin:$PATH \
    DOCKER_CONTAINER=1 \
    OUTLAST_ERROR_DETAIL=off \
    PYTHONUNBUFFERED=1
WORKDIR /app
VOLUME /app/.outlast
USER 1000
EXPOSE 8080 50051

# A container that is no agent (`task-manager`) has no /ping: start it with --no-healthcheck or a check of its own.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["python3", "-c", "\
import os, urllib.request as r; e = os.environ; \
r.urlopen('http://127.0.0.1:%s/ping' % (e.get('OUTLAST_PORT') or e.get('PORT') or 8080), timeout=2)"]

ENTRYPOINT ["outlast"]
CMD ["--help"]

# syntax=docker/dockerfile:1
# CPU:  docker build -t polydelta .
# CUDA: docker build -t polydelta:cuda --build-arg TORCH_INDEX= .
#       (an empty index means the default one, whose Linux build carries CUDA)

# The full image: its compiler builds the kernels.
FROM python:3.11-bookworm AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG BASE=smollm2
ENV VIRTUAL_ENV=/opt/polydelta \
    PATH=/opt/polydelta/bin:$PATH \
    PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
RUN python -P -m venv "$VIRTUAL_ENV"
# The pins come before the sources: an edit of the project does not install torch again.
COPY requirements.txt requirements-postgres.txt requirements-signatures.txt requirements-$BASE.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --no-deps --constraint requirements.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch \
 && pip install --requirement requirements.txt --requirement requirements-postgres.txt \
        --requirement requirements-signatures.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --no-deps --requirement "requirements-$BASE.txt"
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY ops ops
COPY deltas deltas
COPY server server
COPY clients/python clients/python
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --no-deps . ./clients/python

FROM python:3.11-slim-bookworm
ARG BASE=smollm2
# The cache holds hub weights and the converted demo base. It listens beyond this machine, so
# requests may name the directories of deltas alone.
ENV VIRTUAL_ENV=/opt/polydelta \
    PATH=/opt/polydelta/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/var/lib/polydelta/cache \
    POLYDELTA_STORE=/var/lib/polydelta/store \
    POLYDELTA_HOST=0.0.0.0 \
    POLYDELTA_PORT=8000 \
    POLYDELTA_SOURCE_ROOTS='["/deltas"]' \
    POLYDELTA_DEMO_BASE=$BASE
RUN useradd --uid 10001 --home-dir /var/lib/polydelta --no-create-home polydelta \
 && install --directory --owner polydelta --group polydelta \
        /var/lib/polydelta "$XDG_CACHE_HOME" "$POLYDELTA_STORE" /deltas
COPY --from=build /opt/polydelta /opt/polydelta
USER 10001
WORKDIR /var/lib/polydelta
VOLUME ["/var/lib/polydelta/cache", "/var/lib/polydelta/store", "/deltas"]
EXPOSE 8000
# Readiness, not liveness: "healthy" is what depends_on waits for, and it includes a dead engine.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m \
    CMD ["python", "-P", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['POLYDELTA_PORT'] + '/health/ready', timeout=4)"]
ENTRYPOINT ["polydelta"]
CMD ["demo"]

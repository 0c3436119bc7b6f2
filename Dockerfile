# syntax=docker/dockerfile:1
#
# One image for all services: `python -m services.<name>` says which. `make image` builds it.

# CPython 3.13.15 on Debian 13. Another one: `make image BASE=…`, with its digest, which
# `docker buildx imagetools inspect python:3.13-slim-trixie` tells.
ARG BASE=docker.io/library/python:3.13-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285

FROM ${BASE} AS build
# `runtime`, or `nlp` for an archive that tells language, sentiment and entities.
ARG LOCK=runtime
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements/${LOCK}.lock /build/requirements.lock
# The environment itself gets no pip. Bytecode is made here, since nothing can be written where the image runs, and is not compared
# with its source, whose times a build changes.
RUN python -m venv --without-pip /opt/chasqui \
    && pip --python /opt/chasqui/bin/python install --no-cache-dir --no-compile --no-deps --require-hashes --only-binary :all: \
        -r /build/requirements.lock \
    && /opt/chasqui/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/chasqui/lib
COPY shared /app/shared
COPY services /app/services
RUN /opt/chasqui/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /app

FROM ${BASE}
ARG BASE
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="chasqui" \
      org.opencontainers.image.description="A WhatsApp messaging platform: accept, schedule, send, receive, archive, search." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
ENV PATH=/opt/chasqui/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
RUN groupadd --gid 10001 chasqui \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /app --shell /usr/sbin/nologin chasqui
COPY --from=build /opt/chasqui /opt/chasqui
COPY --from=build /app /app
WORKDIR /app
# By number, as Kubernetes must see that it is not root.
USER 10001:10001
# No HEALTHCHECK: who runs it asks /health and /ready.
CMD ["python", "-m", "services.gateway"]

# Every image of Plaza. `make images` builds them; by hand, with any builder: docker build --build-arg IMAGE=catalogue .
# IMAGE: catalogue ingestion quality sharing open-data security gateway worker operator tools (tools/images_list.py).
# Packages come by their hashes from requirements.lock. A mirror of the package index: --build-arg UV_DEFAULT_INDEX=…
# and PIP_INDEX_URL=…; both stay out of the finished image, as everything of the first stages does.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

# Everything that is locked, once for all images.
FROM ${BASE} AS locked
ARG PIP_INDEX_URL
ARG UV_DEFAULT_INDEX
ENV UV_PYTHON_DOWNLOADS=never UV_NO_CACHE=1 PYC_INVALIDATION_MODE=UNCHECKED_HASH
WORKDIR /src
COPY requirements-uv.lock requirements.lock ./
RUN python3 -m venv /uv \
 && /uv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-uv.lock \
 && /uv/bin/uv venv --quiet --python "$(command -v python3)" /app \
 && /uv/bin/uv pip install --quiet --python /app --no-build --require-hashes --compile-bytecode -r requirements.lock

# Plaza's own packages beside it, built without an index: what builds them is locked too.
FROM locked AS built
COPY VERSION ./
COPY protos protos
COPY services services
COPY operators operators
RUN /uv/bin/uv pip install --quiet --python /app --no-index --no-deps --no-build-isolation --compile-bytecode \
    ./protos ./services/* ./operators/*

# What one image needs of all that, as layers.
FROM built AS cut
COPY tools tools
ARG IMAGE
ARG VERSION=dev
RUN /app/bin/python tools/images_build.py "${IMAGE}" /layers "${VERSION}"

# `--target sbom` with `--output`: the bill of materials as a file.
FROM scratch AS sbom
COPY --from=cut /layers/5/app/sbom.cdx.json /

FROM ${BASE}
RUN echo 'plaza:x:10001:10001::/cache:/usr/sbin/nologin' >> /etc/passwd && echo 'plaza:x:10001:' >> /etc/group \
 && install -d -o 10001 -g 10001 -m 0700 /cache
ENV PATH=/app/bin:/usr/local/bin:/usr/bin:/bin HOME=/cache TMPDIR=/cache XDG_CACHE_HOME=/cache \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONSAFEPATH=1
COPY --from=cut /layers/1/ /
COPY --from=cut /layers/2/ /
COPY --from=cut /layers/3/ /
COPY --from=cut /layers/4/ /
COPY --from=cut /layers/5/ /
ARG BASE
ARG IMAGE
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="plaza/${IMAGE}" \
      org.opencontainers.image.description="Plaza, a city data governance platform: ${IMAGE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${BASE}"
VOLUME /cache
WORKDIR /app
USER 10001:10001
ENTRYPOINT ["/app/bin/start"]

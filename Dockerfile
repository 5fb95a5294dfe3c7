# The service with the default model baked in: a pod without egress starts and scores.
#   make image                                  the torch engine, for a CPU or one GPU
#   make image TARGET=service-vllm              the vllm engine too, for several GPUs
#   make image TARGET=review                    the review app instead, with neither engine nor model
# Every package comes from a lock with hashes in scripts/images/locks, which LOCK names (`make lock-images`).
# BASE needs Python 3.11 with venv; for vLLM's CPU build libnuma.so.1 too, and for vLLM on GPUs a C compiler, which
# Triton calls at run time: nothing in these files puts one there, and no image on GPUs was tried yet. vLLM on CPUs also
# wants to be run with a /dev/shm of 256 MB. `make base-image` renews the digest.
ARG BASE=docker.io/library/python:3.11-slim@sha256:9c900dea9e8fb7e16277c179b555cc72d29a352dbc33cff48ad5a0412fd5bfc7

FROM ${BASE} AS wheel
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python3 -m venv /opt/build
COPY scripts/images/locks/build.txt .
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    /opt/build/bin/pip install -q --require-hashes --no-deps -r build.txt
COPY pyproject.toml README.md LICENSE ./
COPY proto proto
COPY clients clients
COPY service service
RUN /opt/build/bin/pip wheel -q --no-deps --no-build-isolation --no-index --wheel-dir /wheels .

FROM ${BASE} AS build
ARG LOCK=torch-cuda
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python3 -m venv /opt/promedical
COPY scripts/images/locks/${LOCK}.txt lock.txt
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    /opt/promedical/bin/pip install -q --require-hashes --no-deps -r lock.txt
COPY --from=wheel /wheels /wheels
RUN /opt/promedical/bin/pip install -q --no-deps --no-index /wheels/*.whl
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    PROMEDICAL_CACHE=/opt/models /opt/promedical/bin/python -c \
    'from promedical_model.bundle.default_model import base_bundle_folder; print(base_bundle_folder())' \
    && rm -f /opt/models/*.lock && chmod -R a+rX /opt/models

# What building needs and serving does not: pip and torch's headers.
FROM build AS build-torch
RUN /opt/promedical/bin/pip uninstall -q -y setuptools pip \
    && rm -rf /opt/promedical/lib/python3.*/site-packages/torch/include

FROM build AS build-vllm
RUN test -d /opt/promedical/lib/python3.*/site-packages/vllm \
    || { echo "service-vllm needs LOCK=vllm-cuda or LOCK=vllm-cpu"; exit 1; }
RUN /opt/promedical/bin/pip uninstall -q -y pip

FROM ${BASE} AS service
LABEL org.opencontainers.image.title="promedical" \
      org.opencontainers.image.description="The reward oracle for medical language models" \
      org.opencontainers.image.licenses="Apache-2.0 AND CC-BY-NC-SA-4.0 AND CC-BY-4.0 AND MIT"
ENV PATH=/opt/promedical/bin:$PATH \
    PROMEDICAL_BAKED=/opt/models XDG_CACHE_HOME=/tmp PROMEDICAL_OFFLINE=1 HF_HUB_OFFLINE=1 \
    PROMEDICAL_HOST=0.0.0.0 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=build /opt/models /opt/models
USER 10001:10001
EXPOSE 8080 50051
HEALTHCHECK --start-period=120s CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/readyz', timeout=2)"]
ENTRYPOINT ["promedical-serve"]

FROM service AS service-torch
COPY --from=build-torch /opt/promedical /opt/promedical

FROM service AS service-vllm
COPY --from=build-vllm /opt/promedical /opt/promedical
ENV PROMEDICAL_ENGINE=vllm

FROM ${BASE} AS build-review
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python3 -m venv /opt/promedical
COPY scripts/images/locks/review.txt lock.txt
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    /opt/promedical/bin/pip install -q --require-hashes --no-deps -r lock.txt
COPY --from=wheel /wheels /wheels
RUN /opt/promedical/bin/pip install -q --no-deps --no-index /wheels/*.whl \
    && /opt/promedical/bin/pip uninstall -q -y setuptools pip

FROM ${BASE} AS review
LABEL org.opencontainers.image.title="promedical-review" \
      org.opencontainers.image.description="The app in which physicians review rubrics and rate answers" \
      org.opencontainers.image.licenses="Apache-2.0 AND CC-BY-NC-SA-4.0 AND CC-BY-4.0 AND MIT"
ENV PATH=/opt/promedical/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=build-review /opt/promedical /opt/promedical
USER 10001:10001
EXPOSE 8090
HEALTHCHECK --start-period=60s CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8090/readyz', timeout=2)"]
ENTRYPOINT ["promedical-review"]

# Without a target: the smaller one that serves.
FROM service-torch

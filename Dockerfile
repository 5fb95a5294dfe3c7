# The service on torch, for CPU and one NVIDIA GPU. The default model is baked in: a pod without egress starts and scores.
#   make image BASE=python:3.11-slim TORCH='torch==2.13.0'
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
ARG TORCH="torch==2.13.0"
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python3 -m venv /opt/promedical
COPY constraints.txt .
RUN --mount=type=secret,id=pip,target=/etc/pip.conf /opt/promedical/bin/pip install -q "${TORCH}"
COPY pyproject.toml README.md LICENSE ./
COPY proto proto
COPY clients clients
COPY service service
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    /opt/promedical/bin/pip install -q '.[service]' -c constraints.txt
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    PROMEDICAL_CACHE=/opt/models /opt/promedical/bin/python -c \
    'from promedical_model.default_model import base_bundle_folder; print(base_bundle_folder())' \
    && rm -f /opt/models/*.lock && chmod -R a+rX /opt/models

FROM ${BASE} AS service
LABEL org.opencontainers.image.title="promedical" \
      org.opencontainers.image.description="The reward oracle for medical language models" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/promedical /opt/promedical
COPY --from=build /opt/models /opt/models
ENV PATH=/opt/promedical/bin:$PATH \
    PROMEDICAL_CACHE=/opt/models PROMEDICAL_OFFLINE=1 HF_HUB_OFFLINE=1 \
    PROMEDICAL_HOST=0.0.0.0 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 8080 50051
HEALTHCHECK --start-period=120s CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/readyz', timeout=2)"]
ENTRYPOINT ["promedical-serve"]

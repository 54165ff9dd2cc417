# A node in a container: `docker build -t econode .`, then compose.yaml beside it.
#
# BASE_IMAGE is any Debian-like image with Python 3.11 to 3.13 and venv. The build needs pip's index;
# a machine that has its own passes its configuration: --secret id=pipconf,src=/etc/pip.conf
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
WORKDIR /app
COPY requirements requirements
RUN --mount=type=secret,id=pipconf,target=/etc/pip.conf,required=false \
    sh requirements/install.sh run
COPY pyproject.toml README.md ./
COPY identity identity
COPY crdt crdt
COPY protocols protocols
COPY node node
COPY devnet devnet
# The packages stay where they are; pip, setuptools and wheel served the build alone. Byte code is
# written now: the root file system may be read-only later.
RUN --mount=type=secret,id=pipconf,target=/etc/pip.conf,required=false \
    sh requirements/install.sh project \
    && .venv/bin/python -m pip uninstall -qq --yes setuptools wheel pip \
    && .venv/bin/python -m compileall -qq -j 0 .

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="econode" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /data econode \
    && mkdir /data && chown econode:econode /data && chmod 0700 /data
COPY --from=build /app /app
ENV PATH=/app/.venv/bin:$PATH \
    ECONODE_HOME=/data \
    PYTHONDONTWRITEBYTECODE=1
USER econode
WORKDIR /data
VOLUME /data
EXPOSE 4710
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-m", "node.healthcheck"]
ENTRYPOINT ["econode"]
CMD ["start"]

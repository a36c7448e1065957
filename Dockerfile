# syntax=docker/dockerfile:1
# The agent's image. `scripts/build-image.sh` builds the same content without a registry or a Docker engine.

FROM node:20-bookworm AS build
RUN apt-get update \
  && apt-get install -y --no-install-recommends \
    clang-14 llvm-14 cmake g++ make pkg-config libbpf-dev libelf-dev zlib1g-dev linux-libc-dev \
  && rm -rf /var/lib/apt/lists/*
RUN install -d -o node -g node /src
# Nothing of ours is built as root.
USER node
WORKDIR /src
COPY --chown=node:node package.json package-lock.json ./
RUN npm ci --include=dev --ignore-scripts --no-audit --no-fund
COPY --chown=node:node . .
RUN npm run build:bpf && npm run build:native && npm run build:ts
RUN bash scripts/image-content.sh /src/image

FROM node:20-bookworm-slim
COPY deploy/image/packages /tmp/packages
RUN apt-get update \
  && xargs -a /tmp/packages apt-get install -y --no-install-recommends \
  && rm -rf /var/lib/apt/lists/* /tmp/packages
COPY --from=build --chown=root:root /src/image /opt/shunt
ENV NODE_ENV=production PATH=/opt/shunt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LABEL org.opencontainers.image.title=shunt org.opencontainers.image.licenses=Apache-2.0
# Root, with the capabilities that the pod grants: pins and the cgroup root belong to root.
ENTRYPOINT ["/opt/shunt/bin/shunt"]
CMD ["agent"]

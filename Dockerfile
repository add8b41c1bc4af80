# syntax=docker/dockerfile:1

# Builds and packs the server:
#
#   docker build --tag readstates .
#   docker run --stop-timeout 120 --publish 50051:50051 --publish 9090:9090 \
#     --volume readstates:/var/lib/readstates readstates
#
# With --build-arg FEATURES=otel it can send traces.
#
# The stop timeout leaves room to drain (20 s), to flush (60 s) and to close (30 s). Builder and
# runtime are of one Debian release, so that the C library fits.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
ARG FEATURES=""
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin readstates --features "$FEATURES" \
    && install -D target/release/readstates /out/usr/local/bin/readstates \
    && install -D --mode=644 --target-directory=/out/usr/share/doc/readstates LICENSE-* \
    && install -d --owner=65532 --group=65532 /out/var/lib/readstates

FROM debian:bookworm-slim
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="readstates" \
      org.opencontainers.image.description="What each user has read and how many mentions wait" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"

# Numeric owners survive the copy, and a number is what an orchestrator can check for not being root.
COPY --from=build /out /
USER 65532:65532

ENV READSTATES_LISTEN=0.0.0.0:50051 \
    READSTATES_ADMIN_LISTEN=0.0.0.0:9090 \
    READSTATES_DATA_DIR=/var/lib/readstates
VOLUME /var/lib/readstates
EXPOSE 50051 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["readstates", "health"]
ENTRYPOINT ["readstates"]
CMD ["serve"]

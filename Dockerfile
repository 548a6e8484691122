# Builds the sources, then keeps what running needs. Models are mounted, never copied in.
FROM node:22-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# `prepare` builds, and there is nothing to build yet.
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM node:22-bookworm-slim
ENV NODE_ENV=production \
    QMESH_DATA_DIR=/data
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY --from=build /app/models ./models
RUN ln -s /app/dist/bin/qmesh-node.js /usr/local/bin/qmesh-node \
  && chmod +x /app/dist/bin/qmesh-node.js \
  && mkdir /data && chown node:node /data && chmod 700 /data
USER node
# The identity, the books and the models: without a volume every new container is a new node.
VOLUME /data
# UDP of the DHT; peers also get through without it, by hole punching.
EXPOSE 49737/udp
# The gateway. It listens inside the container only, until QMESH_GATEWAY_HOST=0.0.0.0 and QMESH_GATEWAY_KEYS are set.
EXPOSE 11500/tcp
# Whether the process answers, not whether it has work: a node without a network is well, too.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.QMESH_GATEWAY_PORT || 11500) + '/healthz').then((reply) => process.exit(reply.ok ? 0 : 1), () => process.exit(1))"]
# SIGTERM stops in order; node answers it as process 1 because qmesh-node listens for it.
STOPSIGNAL SIGTERM
ENTRYPOINT ["qmesh-node"]
CMD ["up", "--port", "49737"]

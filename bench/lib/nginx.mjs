import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startServer } from './servers.mjs';

export const hasNginx = () => spawnSync('nginx', ['-v']).status === 0;

/** Sends the files of a folder below `/files/`, and stands before a server that lets it send them (`X-Accel-Redirect: /internal/…`). */
export function startNginx(stage, { folder, upstream }) {
  const commandOf = ({ directory, port }) => {
    const file = join(directory, 'nginx.conf');
    writeFileSync(file, configuration({ directory, port, folder, upstream }));
    return ['nginx', '-e', 'stderr', '-p', directory, '-c', file];
  };
  return startServer(stage, commandOf, '/ready');
}

/** Stands before several nodes and hands each connection to one of them: who speaks WebSocket alone needs no other stickiness. */
export function startBalancer(stage, urls) {
  const commandOf = ({ directory, port }) => {
    const file = join(directory, 'nginx.conf');
    writeFileSync(file, balancing({ directory, port, urls }));
    return ['nginx', '-e', 'stderr', '-p', directory, '-c', file];
  };
  return startServer(stage, commandOf, '/ready');
}

const balancing = ({ directory, port, urls }) => `
daemon off;
master_process off;
worker_rlimit_nofile 20000;
error_log stderr;
pid ${directory}/nginx.pid;
events { worker_connections 16384; }
http {
  access_log off;
  ${temporaryPaths(directory)}
  map $http_upgrade $connection_header { default upgrade; '' ''; }
  upstream nodes {
    least_conn;
    ${urls.map((url) => `server ${new URL(url).host};`).join(' ')}
    keepalive 128;
  }
  server {
    listen 127.0.0.1:${port};
    location = /ready { return 200; }
    location / {
      proxy_pass http://nodes;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_header;
      proxy_read_timeout 75s;
    }
  }
}
`;

const temporaryPaths = (directory) =>
  ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((of) => `${of}_temp_path ${directory}/${of};`).join(' ');

/** One process, which is what is measured. */
const configuration = ({ directory, port, folder, upstream }) => `
daemon off;
master_process off;
error_log stderr;
pid ${directory}/nginx.pid;
events {}
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  ${temporaryPaths(directory)}
  server {
    listen 127.0.0.1:${port};
    location = /ready { return 200; }
    location /files/ { alias ${folder}/; }
    location /internal/ { internal; alias ${folder}/; }
    location / { proxy_pass ${upstream}; }
  }
}
`;

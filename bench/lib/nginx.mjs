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
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((of) => `${of}_temp_path ${directory}/${of};`).join(' ')}
  server {
    listen 127.0.0.1:${port};
    location = /ready { return 200; }
    location /files/ { alias ${folder}/; }
    location /internal/ { internal; alias ${folder}/; }
    location / { proxy_pass ${upstream}; }
  }
}
`;

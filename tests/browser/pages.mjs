// The servers of the page: the same page under two origins, of which the gate knows one.

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';

const FILES = {
  '/': ['text/html', new URL('page/index.html', import.meta.url)],
  '/visitor.js': ['text/javascript', new URL('page/visitor.js', import.meta.url)],
  '/mqtt.min.js': ['text/javascript', browserBuild()],
};

/** Serves the page on a free port of this machine. */
export async function servePage() {
  const server = createServer(async (request, response) => {
    const file = FILES[request.url];
    if (!file) {
      response.writeHead(404).end();
      return;
    }
    const [type, location] = file;
    response.writeHead(200, { 'content-type': `${type}; charset=utf-8` }).end(await readFile(location));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://localhost:${server.address().port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** MQTT.js as its package has it for a `<script>`. */
function browserBuild() {
  const manifest = createRequire(import.meta.url).resolve('mqtt/package.json');
  return path.join(path.dirname(manifest), 'dist', 'mqtt.min.js');
}

// The real programs: a broker, the reference service, and the gate with a listener for `wss`.

import { execFileSync } from 'node:child_process';
import { X509Certificate, createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';

import { Program, environment } from './program.mjs';

/** Who may log in. */
export const USERS = ['alice', 'bob'];

/** The password of a user. */
export const password = (user) => `${user}-canary-77c1`;

/** Starts all of it, with programs of ours from the folder `programs`, for pages of one origin. */
export async function startWorld({ programs, origin }) {
  const folder = mkdtempSync(path.join(tmpdir(), 'tidegate-browser-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const at = (name) => path.join(folder, name);

  const started = [];
  const start = (name, file, ...args) => {
    const program = new Program(name, file, args);
    started.push(program);
    return program;
  };

  // By a socket, for Mosquitto can't choose a port. Run by root it would become somebody else, who can't make one here.
  writeFileSync(at('mosquitto.conf'), `
    user ${userInfo().username}
    listener 0 ${at('broker.sock')}
    allow_anonymous true
    log_dest stderr
  `.replace(/^ +/gm, ''));
  const broker = start('mosquitto', 'mosquitto', '-c', at('mosquitto.conf'));
  await broker.waitFor('it runs', (line) => / running$/.test(line));

  writeFileSync(at('authz.toml'), `
    bind = "127.0.0.1:0"
    users.file = "users.toml"
    log.format = "json"
  `);
  const authz = path.join(programs, 'tidegate-authz');
  for (const user of USERS) {
    const input = `${password(user)}\n`;
    const args = ['user', 'add', user, '--config', at('authz.toml')];
    execFileSync(authz, args, { input, env: environment(), stdio: 'pipe' });
  }
  const service = start('tidegate-authz', authz, 'run', '--config', at('authz.toml'));
  const endpoint = await service.waitFor('it listens', listening);

  const pin = makeCertificate(at('gate.crt'), at('gate.key'));
  writeFileSync(at('tidegate.toml'), `
    broker.url = "unix:${at('broker.sock')}"
    authz.endpoint = "http://${endpoint}"
    authz.permit.broker_client_id = true
    log.format = "json"
    [[listeners]]
    name = "pages"
    bind = "127.0.0.1:0"
    transport = "wss"
    tls.certificates = [{ cert = "${at('gate.crt')}", key = "${at('gate.key')}" }]
    websocket.origins = ["${origin}"]
  `);
  const gate = start('tidegate', path.join(programs, 'tidegate'), 'run', '--config', at('tidegate.toml'));
  const address = await gate.waitFor('it listens', listening);

  return {
    url: `wss://localhost:${address.split(':').pop()}/mqtt`,
    /** What a browser has to believe in: the hash of the gate's key. */
    pin,
    gate,
    stop: () => started.forEach((program) => program.kill()),
    /** What all of them have said. */
    log: () => started.map((program) => `--- ${program.name}\n${program.output()}\n`).join(''),
  };
}

/** Makes a certificate for `localhost`, and returns the hash of its key. */
function makeCertificate(cert, key) {
  execFileSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-out', cert, '-keyout', key,
  ], { stdio: 'pipe' });
  const { publicKey } = new X509Certificate(readFileSync(cert));
  const der = publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(der).digest('base64');
}

/** The address in a log line that says that a program listens. */
function listening(line) {
  if (!line.startsWith('{')) return null;
  const event = JSON.parse(line);
  const fields = event.fields ?? event;
  return fields.message === 'listening' ? fields.address : null;
}

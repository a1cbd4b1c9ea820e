// A program as a child process whose output is kept, and which ends with this one.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** How long something may take that takes no time on a quiet machine, in milliseconds. */
export const PATIENCE = 60_000;

const running = new Set();
process.on('exit', () => running.forEach((program) => program.kill()));
// Else a signal would end this process without an exit.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

export class Program {
  #child;
  #lines = [];
  #waiting = new Set();
  #gone = false;

  /** Starts a program under a name for messages. */
  constructor(name, file, args) {
    this.name = name;
    this.#child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], env: environment() });
    running.add(this);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        this.#lines.push(line);
        this.#waiting.forEach((look) => look());
      });
    }
    this.#child.on('error', (error) => this.#end(`cannot be started: ${error.message}`));
    this.#child.on('close', (code, signal) => this.#end(`ended with ${code ?? signal}`));
  }

  /** What `find` finds in a line of the output, as soon as there is one; lines already written count. */
  waitFor(what, find) {
    return new Promise((resolve, reject) => {
      let next = 0;
      const done = (settle, value) => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        settle(value);
      };
      const fail = (why) => done(reject, new Error(`${this.name} never said that ${what}: ${why}\n${this.output()}`));
      const timer = setTimeout(() => fail('time is up'), PATIENCE);
      const look = () => {
        for (; next < this.#lines.length; next += 1) {
          const found = find(this.#lines[next]);
          if (found) return done(resolve, found);
        }
        if (this.#gone) fail(this.#gone);
      };
      this.#waiting.add(look);
      look();
    });
  }

  /** Everything that it has written so far. */
  output() {
    return this.#lines.join('\n');
  }

  kill() {
    this.#child.kill('SIGKILL');
  }

  #end(how) {
    this.#gone = how;
    running.delete(this);
    this.#waiting.forEach((look) => look());
  }
}

/** The environment without whatever configuration of the programs it may hold. */
export function environment() {
  const foreign = /^(TIDEGATE_|OTEL_|RUST_LOG)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)));
}

// Starts and stops a built service, for checks in which it goes away or comes back as another build.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';

const PATIENCE = 45_000;

/** A port that nobody listens on. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Starts `binary` in `folder` on `port`, and waits until it is ready; `stop` ends it. */
export async function start(binary, folder, port) {
  const operator = await freePort();
  const child = spawn(binary, ['serve'], {
    cwd: folder,
    env: { ...process.env, PORT: String(port), APP__OPERATOR__PORT: String(operator) },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = once(child, 'exit');
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => null);
    if (answer?.ok) break;
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`${binary} does not become ready.`);
    await wait(20);
  }
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
  };
  // However the check ends, nothing is left running.
  process.once('exit', () => child.kill('SIGKILL'));
  return stop;
}

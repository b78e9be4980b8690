// Runs the service and the development server side by side; when one ends, or on a signal, both do.

import { spawn } from 'node:child_process';
import { createServer } from 'vite';

const pages = await createServer();
await pages.listen();
pages.printUrls();
const service = spawn('cargo', ['run'], {
  cwd: new URL('../..', import.meta.url),
  stdio: ['ignore', 'inherit', 'inherit'],
  // In a group of its own, which a Ctrl-C in the terminal does not reach: the service takes a second signal for impatience.
  detached: true,
});

for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(signal, () => service.pid && process.kill(-service.pid, signal));
}
service.on('error', (error) => {
  console.error(`cargo cannot be started: ${error.message}`);
  process.exitCode = 1;
  void pages.close();
});
service.on('exit', (code) => {
  process.exitCode = code ?? 0;
  void pages.close();
});

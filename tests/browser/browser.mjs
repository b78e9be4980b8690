// A Chromium for checks, and the sentences that say what is wrong.

import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

export function launch() {
  if (!existsSync(executablePath)) exit(`There is no browser at ${executablePath}; install Chromium or set CHROMIUM to its path.`);
  return chromium.launch({
    executablePath,
    args: [
      // Chromium's sandbox refuses to run as root, which is what a container usually is.
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      ...['gpu', 'quic', 'background-networking', 'component-update', 'sync'].map((name) => `--disable-${name}`),
      '--no-first-run',
    ],
  });
}

/** Counts what holds, and prints a sentence for what does not. */
export class Checks {
  #passed = 0;
  #failed = 0;

  check = (good, sentence) => {
    if (good) return void this.#passed++;
    this.#failed++;
    console.log(`FAILED: ${sentence.replace(/\s+/g, ' ')}`);
  };

  /** Runs `walk`; one that stops has failed. */
  async run(walk) {
    try {
      await walk(this.check);
    } catch (error) {
      this.check(false, `The walk stopped: ${error.message.split('\n')[0]}`);
    }
  }

  /** Prints the counts in the form that the suite adds up, and ends the process by them. */
  finish() {
    console.log(`${this.#passed} passed, ${this.#failed} failed`);
    process.exitCode = this.#failed === 0 ? 0 : 1;
  }
}

export function exit(sentence) {
  console.error(sentence);
  process.exit(2);
}

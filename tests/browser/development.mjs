// Edits the sources of a service in development and sees an open page follow: node development.mjs <project> <binary> <build command…>
//
// The build command is run in the project after a change that needs a new binary. Every source is put back at the end.

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Checks, exit, launch } from './browser.mjs';
import { freePort, start } from './service.mjs';

const [project, binary, command, ...words] = process.argv.slice(2);
if (!command) exit('Usage: node development.mjs <project> <binary> <build command…>');

/** How long a page may take to follow, in milliseconds: it looks four times a second, and connects again after three seconds. */
const PATIENCE = 60_000;

const originals = new Map();
const port = await freePort();
const origin = `http://127.0.0.1:${port}`;
const checks = new Checks();
let stop = await start(binary, project, port);
const browser = await launch();
try {
  await checks.run(walk);
} finally {
  await browser.close();
  await stop();
  for (const [path, text] of originals) writeFileSync(path, text);
}
checks.finish();

async function walk(check) {
  const page = await browser.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  const listens = () => page.waitForResponse(`${origin}/dev/reload`);
  await Promise.all([listens(), page.goto(`${origin}/`)]);
  // A page that is loaded again knows nothing of this.
  const mark = () => page.evaluate(() => void (window.isTheSame = true));
  const isTheSame = () => page.evaluate(() => window.isTheSame === true);
  const follows = (what, shown, argument) =>
    page.waitForFunction(shown, argument, { timeout: PATIENCE }).then(
      () => check(true, ''),
      () => check(false, `The page does not follow when ${what}.`),
    );
  await mark();

  edit('assets/app.css', (text) => `${text}\nbody { outline: 1px solid rgb(1, 2, 3); }\n`);
  await follows('a stylesheet changes', () => getComputedStyle(document.body).outlineColor === 'rgb(1, 2, 3)');
  check(await isTheSame(), 'A changed stylesheet loads the page again.');
  await follows('the older stylesheet can go', () => document.querySelectorAll('link[rel=stylesheet]').length === 1);

  edit('assets/app.css', (text) => `${text}\nbody { outline: }}\n`);
  await follows('a stylesheet is broken', () => document.querySelector('[role=alert]')?.textContent.includes('assets/app.css:'));
  check(await isTheSame(), 'A broken stylesheet loads the page again.');
  restore('assets/app.css');
  await follows('a stylesheet is mended', () => document.querySelector('[role=alert]') === null);
  await follows('a stylesheet is as it was', () => getComputedStyle(document.body).outlineStyle === 'none');
  check(await isTheSame(), 'A mended stylesheet loads the page again.');

  edit('assets/app.ts', (text) => text.replace('\n\n', '\n\ndocument.documentElement.dataset.edited = "yes";\n'));
  await follows('a script changes', () => document.documentElement.dataset.edited === 'yes');
  check(!(await isTheSame()), 'A changed script does not load the page again.');
  await mark();

  const heading = 'What a template says now';
  edit('templates/articles/list.html', (text) => text.replace(/<h1>[^<{]*<\/h1>/, `<h1>${heading}</h1>`));
  await rebuild();
  await follows('a template changes', (heading) => document.querySelector('h1')?.textContent === heading, heading);
  check(!(await isTheSame()), 'A changed template does not load the page again.');
  await mark();

  edit('src/features/pages/head.rs', (text) => text.replace('env!("CARGO_PKG_NAME")', '"Another name"'));
  await rebuild();
  await follows('a Rust file changes', () => document.querySelector('.brand')?.textContent.includes('Another name'));
  check(!(await isTheSame()), 'A changed Rust file does not load the page again.');

  const late = (text) => `${text}\nbody { outline: 1px solid rgb(4, 5, 6); }\n`;
  const change = (route) => (edit('assets/app.css', late), route.continue());
  // Away, so that nothing of the page before still listens.
  await page.goto('about:blank');
  await page.route('**/dev/reload', change, { times: 1 });
  await page.goto(`${origin}/`);
  await follows('a stylesheet changes before it listens', () => getComputedStyle(document.body).outlineColor === 'rgb(4, 5, 6)');
  check(errors.length === 0, `The browser reports errors: ${errors.join('; ')}`);
}

/** Rewrites a source, and fails if that changes nothing. */
function edit(name, rewrite) {
  const path = join(project, name);
  const text = readFileSync(path, 'utf8');
  if (!originals.has(path)) originals.set(path, text);
  const edited = rewrite(text);
  if (edited === text) throw new Error(`there is nothing to edit in ${name}`);
  writeFileSync(path, edited);
}

function restore(name) {
  const path = join(project, name);
  writeFileSync(path, originals.get(path));
}

/** What a developer does: stops the service, builds it and starts it again. */
async function rebuild() {
  await stop();
  const built = spawnSync(command, words, { cwd: project, stdio: 'inherit' });
  if (built.status !== 0) throw new Error('the edited service cannot be built');
  stop = await start(binary, project, port);
}

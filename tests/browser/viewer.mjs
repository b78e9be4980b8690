// Opens what a service without pages shows to a browser: node viewer.mjs <base-url> <screenshot-dir>

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Checks, exit, launch } from './browser.mjs';

const [baseUrl, shots] = process.argv.slice(2);
if (!URL.canParse(baseUrl ?? '') || !shots) exit('Usage: node viewer.mjs <base-url> <screenshot-dir>');

const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'];

const origin = new URL(baseUrl).origin;
const checks = new Checks();
mkdirSync(shots, { recursive: true });
const browser = await launch();
try {
  await checks.run(walk);
} finally {
  await browser.close();
}
checks.finish();

async function walk(check) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  const errors = [];
  const foreign = new Set();
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.origin !== origin && url.protocol !== 'data:') foreign.add(url.href);
  });

  const home = await page.goto(`${origin}/`);
  check(home.ok(), `/ answered ${home.status()}.`);
  const named = home.headers()['content-type'] ?? 'nothing';
  check(!named.startsWith('text/html'), `A service without pages answers / with ${named}.`);

  await page.goto(`${origin}/api/docs/`);
  await page.locator('.opblock').first().waitFor();
  const document = await (await page.request.get(`${origin}/api/openapi.json`)).json();
  const operations = Object.values(document.paths).flatMap(Object.keys).filter((key) => METHODS.includes(key)).length;
  const shown = await page.locator('.opblock').count();
  check(shown === operations, `The viewer shows ${shown} of the ${operations} operations in the document.`);

  // An operation that needs nobody to sign in, tried as a reader of the document would.
  const list = page.locator('.opblock-get', { has: page.getByText('/api/v1/articles', { exact: true }) }).first();
  await list.locator('.opblock-summary').click();
  await list.getByRole('button', { name: 'Try it out' }).click();
  await list.getByRole('button', { name: 'Execute' }).click();
  const status = (await list.locator('.live-responses-table .response-col_status').last().innerText()).trim();
  check(status.startsWith('200'), `The viewer was answered ${status}.`);
  await page.screenshot({ path: join(shots, 'viewer.png') });

  check(foreign.size === 0, `The viewer asked other hosts for ${[...foreign].join(', ')}.`);
  check(errors.length === 0, `The browser reports errors: ${errors.join('; ')}`);
}

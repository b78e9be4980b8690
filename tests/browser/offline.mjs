// Takes the network away from visitors of a site that works offline: node offline.mjs <project> <older binary> <newer binary> <screenshot-dir>
//
// The binaries are two builds with the assets of a release, whose stylesheets differ. The database must be seeded.

import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Checks, exit, launch } from './browser.mjs';
import { freePort, start } from './service.mjs';

const [project, older, newer, shots] = process.argv.slice(2);
if (!shots) exit('Usage: node offline.mjs <project> <older binary> <newer binary> <screenshot-dir>');

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const port = await freePort();
// Browsers know service workers on HTTPS and on localhost.
const origin = `http://localhost:${port}`;
const checks = new Checks();
mkdirSync(shots, { recursive: true });
let stop = await start(older, project, port);
const browser = await launch();
try {
  await checks.run(walk);
} finally {
  await browser.close();
  await stop();
}
checks.finish();

async function walk(check) {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 });
  context.setDefaultTimeout(30_000);
  const errors = [];
  let isOnline = true;
  context.on('console', (message) => {
    if (isOnline && message.type() === 'error') errors.push(message.text());
  });
  const page = await context.newPage();
  const heading = async () => (await page.locator('h1').innerText()).trim();
  const caches = () => page.evaluate(async () => (await window.caches.keys()).sort());
  const isKept = (url) => page.evaluate(async (url) => Boolean(await window.caches.match(url)), url);
  const stylesheet = () => page.locator('link[rel=stylesheet]').evaluate((link) => link.href);
  const build = async () => (await (await fetch(`http://127.0.0.1:${port}/health/build`)).json()).fingerprint;

  await page.goto(`${origin}/`);
  await page.waitForFunction(() => navigator.serviceWorker.controller?.state === 'activated');
  const olderBuild = await build();
  check((await caches()).join() === `site-${olderBuild}`, `After a first visit the browser keeps ${await caches()}.`);
  const home = await heading();
  const link = page.locator('main article h2 a').first();
  const [title, article] = [(await link.innerText()).trim(), await link.evaluate((a) => a.href)];

  const answers = new Map();
  page.on('response', (answer) => answers.set(new URL(answer.url()).pathname, answer));
  await link.click();
  await page.waitForURL(article);
  const olderStyles = await stylesheet();
  check(answers.get(new URL(article).pathname).fromServiceWorker(), 'A page does not come through the service worker.');
  check(answers.get(new URL(olderStyles).pathname).fromServiceWorker(), 'The stylesheet is not taken from the service worker.');
  for (const path of ['/api/v1/articles', '/health']) {
    await page.evaluate((path) => fetch(path).then((answer) => answer.text()), path);
    check(!answers.get(path).fromServiceWorker(), `${path} is answered by the service worker.`);
    check(!(await isKept(path)), `${path} is kept.`);
  }
  await until('both pages are kept', async () => (await isKept(article)) && (await isKept(`${origin}/`)));

  // The front page was visited before there was a worker; the article with one; the content page never.
  isOnline = false;
  await stop();
  await page.reload();
  check((await heading()) === title, 'A visited article cannot be read without a network.');
  await page.goto(`${origin}/`);
  check((await heading()) === home, 'The page of the first visit cannot be read without a network.');
  await page.goto(`${origin}/about`);
  check((await heading()) === 'No connection', 'A page that was never visited is not the one for that.');
  const styled = await page.locator('body').evaluate((body) => getComputedStyle(body).display);
  check(styled === 'grid', 'The page without a network has no styles.');
  const answer = await page.evaluate(() => fetch('/api/v1/articles').then(() => 'an answer', () => 'none'));
  check(answer === 'none', 'The API is answered without a network.');
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  check(violations.length === 0, `axe finds fault with the page without a network: ${violations.map(({ id }) => id).join(', ')}.`);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: join(shots, `offline-${colorScheme}.png`), fullPage: true });
  }

  stop = await start(older, project, port);
  isOnline = true;
  await page.getByRole('link', { name: 'Try again' }).click();
  await page.waitForFunction(() => document.querySelector('h1').textContent !== 'No connection');
  check(page.url() === `${origin}/about`, `Trying again leads to ${page.url()}.`);

  // A deployment while a page is open.
  await stop();
  stop = await start(newer, project, port);
  const newerBuild = await build();
  check(newerBuild !== olderBuild, 'Both binaries are the same build.');
  await page.goto(`${origin}/`);
  const newerStyles = await stylesheet();
  check(newerStyles !== olderStyles, 'After a deployment the page has the styles of the older build.');
  const isWaiting = () => page.evaluate(async () => Boolean((await navigator.serviceWorker.getRegistration())?.waiting));
  await until('the newer worker waits', isWaiting);
  const both = [`site-${newerBuild}`, `site-${olderBuild}`].sort().join();
  check((await caches()).join() === both, 'While a page is open, not both builds are kept.');
  check(await isKept(olderStyles), 'The files of the older build are gone while its page is open.');
  await page.close();
  await afterDeployment(context, check, { newerBuild, newerStyles, olderStyles, home, setOnline: (now) => (isOnline = now) });
  check(errors.length === 0, `The browser reports errors: ${errors.join('; ')}`);
}

/** Once no page of the older build is open, the newer one takes its place. */
async function afterDeployment(context, check, { newerBuild, newerStyles, olderStyles, home, setOnline }) {
  const page = await context.newPage();
  await page.goto(`${origin}/`);
  const names = () => page.evaluate(async () => (await caches.keys()).join());
  await until('the newer build takes the place of the older one', async () => (await names()) === `site-${newerBuild}`);
  const kept = (url) => page.evaluate(async (url) => Boolean(await caches.match(url)), url);
  check(await kept(newerStyles), 'The styles of the newer build are not kept.');
  check(!(await kept(olderStyles)), 'The styles of the older build are still kept.');
  await until('the front page is kept again', () => kept(`${origin}/`));
  setOnline(false);
  await stop();
  await page.reload();
  check((await page.locator('h1').innerText()).trim() === home, 'The newer build cannot be read without a network.');
  check((await page.locator('link[rel=stylesheet]').evaluate((link) => link.href)) === newerStyles, 'Without a network the older build is shown.');
}

/** Looks again until `holds` does. */
async function until(what, holds) {
  for (const deadline = Date.now() + 30_000; !(await holds()); await wait(20)) {
    if (Date.now() > deadline) throw new Error(`it was waited in vain until ${what}`);
  }
}

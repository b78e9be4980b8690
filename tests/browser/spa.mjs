// Walks a running, seeded service with a single-page application in Chromium: node spa.mjs <base-url> <screenshot-dir>
//
// It writes, edits and deletes an article of its own; the samples stay. WRITER_EMAIL and WRITER_PASSWORD are those of an
// account that may.

import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [baseUrl, shots] = process.argv.slice(2);
const { WRITER_EMAIL: email, WRITER_PASSWORD: password } = process.env;
const browserPath = process.env.CHROMIUM ?? '/usr/bin/chromium';
if (!URL.canParse(baseUrl ?? '') || !shots) exit('Usage: node spa.mjs <base-url> <screenshot-dir>');
if (!email || !password) exit('WRITER_EMAIL and WRITER_PASSWORD are not set.');
if (!existsSync(browserPath)) exit(`There is no browser at ${browserPath}; install Chromium or set CHROMIUM to its path.`);

/** The most that a first visit may transfer, compressed and without images, and the most that its page may. Bytes. */
const MOST_IN_ALL = 60 * 1024;
const MOST_IN_THE_PAGE = 14 * 1024;

const origin = new URL(baseUrl).origin;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const desktop = { viewport: { width: 1280, height: 900 } };
const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
let passed = 0;
let failed = 0;

mkdirSync(shots, { recursive: true });
const browser = await chromium.launch({
  executablePath: browserPath,
  args: [
    // Chromium's sandbox refuses to run as root, which is what a container usually is.
    ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
    ...['gpu', 'quic', 'background-networking', 'component-update', 'sync'].map((name) => `--disable-${name}`),
    '--no-first-run',
  ],
});
try {
  for (const [size, options] of Object.entries({ desktop, phone })) {
    for (const colorScheme of ['light', 'dark']) {
      const name = `${size}, ${colorScheme}`;
      await pass(name, { ...options, colorScheme, reducedMotion: 'reduce' }, reading);
      await pass(`${name}, writing`, { ...options, colorScheme, reducedMotion: 'reduce' }, writing);
    }
  }
  await pass('first visit', desktop, firstVisit);
  await pass('keyboard', desktop, keyboard);
  await pass('offline', desktop, offline);
  await pass('addresses', desktop, addresses);
} finally {
  await browser.close();
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

/** A visitor reads: list, article, back, a tag, another order, an address that is nowhere. */
async function reading({ page, check, look }) {
  await page.goto(`${origin}/`);
  await heading(page, 'Articles');
  await look('list');

  const last = page.locator('main article h2 a').last();
  const title = (await last.innerText()).trim();
  await page.evaluate(() => scrollTo(0, 150));
  await last.scrollIntoViewIfNeeded();
  const place = await page.evaluate(() => scrollY);
  await last.click();
  await heading(page, title);
  check(await isFocused(page, 'h1'), 'After a click on an article its heading does not have the focus.');
  check((await page.title()).startsWith(`${title} · `), `The title of “${title}” is “${await page.title()}”.`);
  check((await page.evaluate(() => scrollY)) === 0, 'An article that was clicked does not begin at its top.');
  await look('article');

  await page.goBack();
  await heading(page, 'Articles');
  check(await isFocused(page, 'h1'), 'Back on the list, its heading does not have the focus.');
  const found = await page.waitForFunction((y) => scrollY === y, place, { timeout: 10_000 }).then(() => true, () => false);
  check(found && place > 0, `Back on the list, it is at ${await page.evaluate(() => scrollY)} px and not where it was, at ${place} px.`);

  const tag = page.locator('main a[rel=tag]').first();
  const name = (await tag.innerText()).trim();
  await tag.click();
  await heading(page, `Tagged ${name}`);
  await page.locator('main article').first().waitFor();
  const articles = page.locator('main article');
  const tagged = articles.filter({ has: page.locator('a[rel=tag]').getByText(name, { exact: true }) });
  check((await articles.count()) === (await tagged.count()), `The list for “${name}” has articles without that tag.`);
  await look('tag');

  await page.getByRole('link', { name: 'By title' }).click();
  await page.waitForURL('**/?tag=*&sort=title');
  await page.locator('[aria-current]').getByText('By title').waitFor();

  await page.goto(`${origin}/nowhere`);
  await heading(page, 'Not found');
  await look('not-found');
}

/** A writer: a form full of mistakes, then a good one, a change that comes too late, a change, and the end of it. */
async function writing({ page, check, look, name, expect }) {
  const title = `Written by the browser, ${name}`;
  await page.goto(`${origin}/`);
  // What the service says to who is not signed in.
  expect(401);
  await page.getByRole('link', { name: 'Account' }).click();
  await heading(page, 'Sign in');
  await look('sign-in');
  await page.getByLabel('E-mail address').fill(email);
  await page.getByLabel('Password').fill('not the password');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('alert').waitFor();
  check(await isFocused(page, '[role=alert]'), 'The news of a wrong password does not have the focus.');
  await look('sign-in-refused');
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await heading(page, 'Account');
  await page.getByText(`${email}, admin`).waitFor();
  await look('account');
  await page.getByRole('link', { name: 'New article' }).click();
  await heading(page, 'New article');
  await look('form');

  expect(422);
  await page.getByLabel('Summary').fill('It is kept.');
  await page.getByLabel('Tags').fill('Not A Tag!');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('alert').waitFor();
  check(await isFocused(page, '[role=alert]'), 'The list of mistakes does not have the focus.');
  check(await page.getByLabel('Title').getAttribute('aria-invalid') === 'true', 'An empty title is not marked as wrong.');
  check(await page.getByLabel('Tags').getAttribute('aria-invalid') === 'true', 'A bad tag is not marked as wrong.');
  check((await page.getByLabel('Summary').inputValue()) === 'It is kept.', 'A mistake cost what was typed.');
  await look('mistakes');
  await page.getByRole('alert').getByRole('link').first().click();
  check(await isFocused(page, '#title'), 'The link to a mistake does not lead to its field.');

  await page.getByLabel('Title').fill(title);
  await page.getByLabel('Tags').fill('browser');
  await page.getByLabel('Text').fill('Some *text*.');
  await page.getByLabel(/^Published/).check();
  await page.getByRole('button', { name: 'Save' }).click();
  await heading(page, title);
  const said = await page.getByRole('status').innerText();
  check(said.includes('is saved'), `After saving, the page says “${said}”.`);
  await look('saved');

  const address = page.url();
  await page.getByRole('link', { name: 'Edit this article' }).click();
  await heading(page, `Edit “${title}”`);
  const slug = address.split('/').at(-1);
  const article = await (await page.request.get(`${origin}/api/v1/articles/by-slug/${slug}`)).json();
  const { summary, body, tags, status } = article;
  const theirs = { title, slug, summary: 'Theirs.', body, tags, status };
  const put = await page.request.put(`${origin}/api/v1/articles/${article.id}`, { data: theirs });
  check(put.ok(), `Somebody else’s change (of “${summary}”) was answered with ${put.status()}.`);
  expect(412);
  await page.getByLabel('Summary').fill('Mine.');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Somebody has changed this article').waitFor();
  await page.getByText('Theirs.').waitFor();
  check((await page.getByLabel('Summary').inputValue()) === 'Mine.', 'A change that came too late is lost.');
  await look('conflict');
  await page.getByRole('button', { name: 'Save' }).click();
  await heading(page, title);
  await page.getByText('Mine.').waitFor();

  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('dialog').waitFor();
  await look('delete');
  await page.keyboard.press('Escape');
  check(await isFocused(page, '.pager button'), 'After the question the focus is not where it was.');
  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('button', { name: 'Delete it' }).click();
  await heading(page, 'Articles');
  await page.getByRole('status').getByText('is deleted').waitFor();
  await page.locator('main article').first().waitFor();
  check(!(await page.locator('main').getByRole('link', { name: title }).count()), 'What was deleted is still listed.');

  await page.getByRole('link', { name: 'Account' }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await heading(page, 'Sign in');
}

/** What a first visit costs; its data is in the page. */
async function firstVisit({ page, check }) {
  for (const path of ['/', '/articles/start-here']) {
    await page.context().clearCookies();
    const fresh = await browser.newContext(desktop);
    const visitor = await fresh.newPage();
    const session = await fresh.newCDPSession(visitor);
    await session.send('Network.enable');
    await session.send('Network.setCacheDisabled', { cacheDisabled: true });
    const types = new Map();
    const sizes = [];
    session.on('Network.responseReceived', ({ requestId, type, response }) => {
      types.set(requestId, { type, url: response.url });
    });
    session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
      const { type, url } = types.get(requestId) ?? {};
      sizes.push({ type, url, size: encodedDataLength });
    });
    // Twice: the first answer may go out before it is compressed.
    await visitor.goto(`${origin}${path}`, { waitUntil: 'networkidle' });
    sizes.length = 0;
    await visitor.reload({ waitUntil: 'networkidle' });
    const document = sizes.find(({ type }) => type === 'Document')?.size ?? Infinity;
    const all = sizes.filter(({ type }) => type !== 'Image').reduce((sum, { size }) => sum + size, 0);
    console.log(`${path}: the page ${document} bytes, in all ${all} bytes in ${sizes.length} requests`);
    check(document <= MOST_IN_THE_PAGE, `The page at ${path} takes ${document} bytes, more than ${MOST_IN_THE_PAGE}.`);
    check(all <= MOST_IN_ALL, `A first visit of ${path} takes ${all} bytes, more than ${MOST_IN_ALL}.`);
    const asked = sizes.filter(({ url }) => new URL(url).pathname.startsWith('/api/'));
    check(asked.length === 0, `The first view of ${path} asks for ${asked.map(({ url }) => url).join(', ')}.`);
    const blocking = await visitor.evaluate(() =>
      performance.getEntriesByType('resource').filter((entry) => entry.renderBlockingStatus === 'blocking').length,
    );
    check(blocking <= 1, `${blocking} requests of ${path} keep it from being shown.`);
    await fresh.close();
  }
}

/** The application is usable, and shows where one is, with the keyboard alone. */
async function keyboard({ page, check }) {
  await page.goto(`${origin}/`);
  await heading(page, 'Articles');
  await page.keyboard.press('Tab');
  check(await isFocused(page, '.skip'), 'The first tab stop is not the skip link.');
  await page.keyboard.press('Enter');
  await page.locator('#content:focus').waitFor();
  for (let presses = 0; presses < 20 && !(await isFocused(page, 'main article h2 a')); presses++) {
    await page.keyboard.press('Tab');
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    check(outline !== 'none', 'The focus cannot be seen.');
  }
  const title = await page.evaluate(() => document.activeElement.innerText.trim());
  await page.keyboard.press('Enter');
  await heading(page, title);
  check(await isFocused(page, 'h1'), 'Enter on an article does not lead to its heading.');

  for (let presses = 0; presses < 40 && !(await isFocused(page, '.pager button')); presses++) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  check(await page.evaluate(() => document.querySelector('dialog').contains(document.activeElement)), 'The focus is not in the question.');
  await page.keyboard.press('Escape');
  check(await isFocused(page, '.pager button'), 'After the question the focus is not where it was.');
}

/** Without a network what has been read stays, the rest says so, and comes when the network does. */
async function offline({ page, check, expect }) {
  await page.goto(`${origin}/`);
  await heading(page, 'Articles');
  expect('net::ERR_INTERNET_DISCONNECTED');
  await page.context().setOffline(true);
  const link = page.locator('main article h2 a').first();
  const title = (await link.innerText()).trim();
  await link.click();
  await heading(page, 'The service cannot be reached');
  check(await page.getByRole('button', { name: 'Try again' }).isVisible(), 'There is no way to try again.');
  await page.screenshot({ path: join(shots, 'offline.png'), fullPage: true });
  await page.context().setOffline(false);
  await heading(page, title);
  check(true, '');
}

/** Which address is answered how. */
async function addresses({ page, check }) {
  const browserAccepts = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };
  const ask = async (path, headers = browserAccepts) => page.request.get(`${origin}${path}`, { headers });
  const cases = [
    ['/', 200, 'text/html'],
    ['/write', 200, 'text/html'],
    ['/articles/start-here', 200, 'text/html'],
    ['/articles/there-is-none', 404, 'text/html'],
    ['/assets/missing.js', 404, ''],
    ['/missing.txt', 404, ''],
    ['/favicon.svg', 200, 'image/svg+xml'],
    ['/api/v1/missing', 404, ''],
  ];
  for (const [path, status, type] of cases) {
    const answer = await ask(path);
    check(answer.status() === status, `${path} answered ${answer.status()} instead of ${status}.`);
    const found = answer.headers()['content-type'] ?? '';
    check(found.startsWith(type), `${path} is ${found}, not ${type}.`);
    if (type === '') check(!(await answer.text()).includes('src="/assets/'), `${path} is the application.`);
  }
  const shell = await (await ask('/')).text();
  const files = [...shell.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, path]) => path);
  check(files.length >= 2, `The page loads ${files.length} files.`);
  for (const path of files) {
    const answer = await ask(path, {});
    const control = answer.headers()['cache-control'] ?? '';
    check(answer.status() === 200 && control.includes('immutable'), `${path}: ${answer.status()}, ${control}`);
  }
  check(/no-cache|max-age=0/.test((await ask('/')).headers()['cache-control'] ?? ''), 'The page is kept without asking.');
}

/** Runs one walk in a fresh browser profile, watching requests and the console from outside. */
async function pass(name, options, walk) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  const check = (good, sentence) => {
    if (good) return void passed++;
    failed++;
    console.log(`FAILED: [${name}] ${sentence.replace(/\s+/g, ' ')}`);
  };
  const expected = [];
  const foreign = new Set();
  const errors = new Set();
  context.on('request', (request) => {
    const url = new URL(request.url());
    if (url.origin !== origin && !['data:', 'blob:'].includes(url.protocol)) foreign.add(url.href);
  });
  context.on('console', (message) => {
    const text = message.text();
    if (message.type() === 'error' && !expected.some((part) => text.includes(part))) errors.add(text);
  });
  context.on('weberror', (error) => errors.add(error.error().message));
  await context.addInitScript(() => {
    window.layoutShift = 0;
    window.violations = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.layoutShift += entry.value;
    }).observe({ type: 'layout-shift', buffered: true });
    addEventListener('securitypolicyviolation', (event) => window.violations.push(event.violatedDirective));
  });
  const look = (label) => inspect(page, check, label, name);
  const expect = (part) => expected.push(String(part));

  try {
    await walk({ page, check, look, name, expect });
  } catch (error) {
    check(false, `The walk stopped at ${page.url()}: ${error.message.split('\n')[0]}`);
    await page.screenshot({ path: join(shots, `stopped-${name.replaceAll(', ', '-')}.png`), fullPage: true });
  }
  check(foreign.size === 0, `The pages asked other hosts for ${[...foreign].join(', ')}.`);
  check(errors.size === 0, `The browser reports errors: ${[...errors].join('; ')}`);
  await context.close();
}

/** The checks that hold for every page. */
async function inspect(page, check, label, name) {
  const { width } = page.viewportSize();
  const { shift, scrollWidth, h1s, violations } = await page.evaluate(() => ({
    shift: window.layoutShift,
    scrollWidth: document.documentElement.scrollWidth,
    h1s: document.querySelectorAll('h1').length,
    violations: window.violations,
  }));
  check(shift === 0, `The ${label} page moved while it loaded (layout shift ${shift}).`);
  check(scrollWidth <= width, `The ${label} page is ${scrollWidth} px wide in a ${width} px window.`);
  check(h1s === 1, `The ${label} page has ${h1s} h1 headings instead of one.`);
  check(violations.length === 0, `The ${label} page breaks the content security policy: ${violations.join(', ')}.`);
  await page.screenshot({ path: join(shots, `${label}-${name.replaceAll(', ', '-')}.png`), fullPage: true });

  await page.evaluate(axe);
  const { violations: faults } = await page.evaluate(() => window.axe.run({ rules: { 'target-size': { enabled: true } } }));
  const found = faults.map(({ id, nodes }) => `${id} at ${nodes.map((node) => node.target.join(' ')).join(', ')}`);
  check(found.length === 0, `axe finds fault with the ${label} page: ${found.join('; ')}.`);
}

/** Waits for the page with this heading. */
function heading(page, name) {
  return page.getByRole('heading', { level: 1, name, exact: true }).waitFor();
}

function isFocused(page, selector) {
  return page.evaluate((wanted) => document.activeElement?.matches(wanted) ?? false, selector);
}

function exit(sentence) {
  console.error(sentence);
  process.exit(2);
}

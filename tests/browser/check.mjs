// Walks a running, seeded service in Chromium and checks what a visitor would notice: node check.mjs <base-url> <screenshot-dir>
//
// WRITER_EMAIL and WRITER_PASSWORD are those of an account that may write.

import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [baseUrl, shots] = process.argv.slice(2);
const { WRITER_EMAIL: email, WRITER_PASSWORD: password } = process.env;
const browserPath = process.env.CHROMIUM ?? '/usr/bin/chromium';
if (!URL.canParse(baseUrl ?? '') || !shots) exit('Usage: node check.mjs <base-url> <screenshot-dir>');
if (!email || !password) exit('WRITER_EMAIL and WRITER_PASSWORD are not set.');
if (!existsSync(browserPath)) exit(`There is no browser at ${browserPath}; install Chromium or set CHROMIUM to its path.`);

const origin = new URL(baseUrl).origin;
const missing = `${origin}/definitely-not-here`;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const sizes = {
  desktop: { viewport: { width: 1280, height: 900 } },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
};
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
  for (const size of Object.keys(sizes)) {
    for (const colorScheme of ['light', 'dark']) {
      await pass(`${size}, ${colorScheme}`, { ...sizes[size], colorScheme, reducedMotion: 'reduce' }, tour);
    }
  }
  await pass('light and dark', {}, schemes);
  await pass('JavaScript off', { ...sizes.desktop, javaScriptEnabled: false }, withoutJavaScript);
  await pass('keyboard', sizes.desktop, keyboard);
  for (const size of Object.keys(sizes)) {
    for (const colorScheme of ['light', 'dark']) {
      const options = { ...sizes[size], colorScheme, reducedMotion: 'reduce' };
      await pass(`account, ${size}, ${colorScheme}`, options, account);
      await pass(`writing, ${size}, ${colorScheme}`, options, writing);
    }
  }
  await pass('writing, JavaScript off', { ...sizes.desktop, javaScriptEnabled: false }, writingWithoutJavaScript);
  await pass('writing, keyboard', sizes.desktop, writingByKeyboard);
  await pass('fetching early', { ...sizes.desktop, reducedMotion: 'reduce' }, fetchingEarly);
} finally {
  await browser.close();
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

/** What a visitor with a mouse or a finger does, with every check on every page on the way. */
async function tour(page, check, name) {
  const look = (label) => inspect(page, check, label, name);

  const home = await page.goto(`${origin}/`);
  check(home.status() === 200, `/ answered ${home.status()} instead of 200.`);
  const heading = await text(page, 'h1');
  await look('list');

  const first = await firstArticle(page);
  const title = (await first.innerText()).trim();
  await first.click();
  await page.waitForURL((url) => url.pathname.startsWith('/articles/'));
  check((await text(page, 'h1')) === title, `The article reached from “${title}” has another heading.`);
  await look('article');

  await page.goBack();
  check((await text(page, 'h1')) === heading, 'Going back from the article did not lead to the list.');

  const link = page.locator('main a[rel=tag]').first();
  const tag = (await link.innerText()).trim();
  const target = await link.evaluate((a) => a.href);
  await link.click();
  await page.waitForURL(target);
  check((await text(page, 'h1')).includes(tag), `The list for the tag “${tag}” does not name it in its heading.`);
  const articles = page.locator('main article');
  const tagged = articles.filter({ has: page.locator('a[rel=tag]').getByText(tag, { exact: true }) });
  const [all, matching] = [await articles.count(), await tagged.count()];
  check(all > 0 && all === matching, `Of ${all} articles listed for the tag “${tag}”, ${matching} have it.`);
  await look('tag');

  await page.getByRole('link', { name: /^About/ }).click();
  await page.waitForURL(`${origin}/about`);
  await look('content');

  const lost = await page.goto(missing);
  check(lost.status() === 404, `An address that does not exist answered ${lost.status()} instead of 404.`);
  check((await page.locator('main').innerText()).includes('404'), 'The page for a missing address does not say 404.');
  await look('404');

  const document = await (await page.request.get(`${origin}/api/openapi.json`)).json();
  const methods = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'];
  const operations = Object.values(document.paths).flatMap(Object.keys).filter((key) => methods.includes(key)).length;
  await page.goto(`${origin}/api/docs/`);
  await page.locator('.opblock').first().waitFor();
  const shown = await page.locator('.opblock').count();
  check(shown === operations, `The API viewer shows ${shown} of the ${operations} operations in the document.`);
  await screenshot(page, 'docs', name);
}

/** The checks that hold for every page of the site itself. */
async function inspect(page, check, label, name) {
  const { width } = page.viewportSize();
  await page.evaluate(() => document.fonts.ready);
  const { shift, scrollWidth, h1s } = await page.evaluate(() => ({
    shift: window.layoutShift,
    scrollWidth: document.documentElement.scrollWidth,
    h1s: document.querySelectorAll('h1').length,
  }));
  check(shift === 0, `The ${label} page moved while it loaded (layout shift ${shift}).`);
  check(scrollWidth <= width, `The ${label} page is ${scrollWidth} px wide in a ${width} px window.`);
  const inline = await page.locator('script:not([src]), style, [style]').count();
  check(inline === 0, `The ${label} page has ${inline} scripts or styles in its text.`);
  check(h1s === 1, `The ${label} page has ${h1s} h1 headings instead of one.`);
  await screenshot(page, label, name);

  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run({ rules: { 'target-size': { enabled: true } } }));
  const found = violations.map(({ id, nodes }) => `${id} at ${nodes.map((node) => node.target.join(' ')).join(', ')}`);
  check(found.length === 0, `axe finds fault with the ${label} page: ${found.join('; ')}.`);
}

/** An article from the first, wrong form to its end, with a change by somebody else in between. */
async function writing(page, check, name) {
  const look = (label) => inspect(page, check, label, name);
  const slug = `browser-${name.replaceAll(/\W+/g, '-')}`;
  const save = () => page.getByRole('button', { name: 'Save' }).click();
  const said = () => text(page, '.notice');

  await page.goto(`${origin}/`);
  await page.getByRole('navigation', { name: 'Site' }).getByRole('link', { name: 'New article' }).click();
  await signIn(page);
  await page.waitForURL(`${origin}/articles/new`);
  await look('new');
  await page.getByLabel('Address').fill('Not an address');
  await page.getByLabel('Text').fill('What was written stays.\n\n<b>Always.</b>');
  await save();
  await page.locator('.warning').waitFor();
  await look('invalid');
  const warned = await page.evaluate(() => document.activeElement.matches('.warning'));
  check(warned, 'The list of mistakes does not have the focus.');
  for (const label of ['Title', 'Address']) {
    const field = page.getByLabel(label, { exact: true });
    check((await field.getAttribute('aria-invalid')) === 'true', `The field ${label} is not marked as wrong.`);
    const ids = ((await field.getAttribute('aria-describedby')) ?? '').split(' ');
    const explained = await page.locator(ids.map((id) => `#${id}.error`).join()).count();
    check(explained === 1, `The field ${label} does not name what is wrong with it.`);
  }
  const kept = await page.getByLabel('Text').inputValue();
  check(kept.includes('<b>Always.</b>'), 'A mistake elsewhere lost the text.');

  await page.locator('.warning a').first().click();
  check(await page.getByLabel('Title').evaluate((field) => field === document.activeElement), 'The list of mistakes does not lead to the field.');
  await page.getByLabel('Title').fill('Written in a browser');
  await page.getByLabel('Address').fill(slug);
  await page.getByLabel('Tags').fill('browser');
  await page.getByLabel('Published').check();
  await save();
  await page.waitForURL(`${origin}/articles/${slug}`);
  check((await said()).startsWith('Saved.'), 'A saved article is not announced.');
  await look('saved');
  await page.reload();
  check((await page.locator('.notice').count()) === 0, 'The message is shown a second time.');

  await page.getByRole('link', { name: 'Edit this article' }).click();
  await page.waitForURL(`${origin}/articles/${slug}/edit`);
  await look('edit');
  const form = await page.locator('.form').evaluate((form) => Object.fromEntries(new FormData(form)));
  const other = await page.request.post(page.url(), { form: { ...form, body: 'Somebody else was faster.' } });
  check(other.ok(), `A change beside the browser answered ${other.status()}.`);
  await page.getByLabel('Text').fill('My own words.');
  await save();
  await page.locator('.theirs').waitFor();
  await look('conflict');
  check((await text(page, '.theirs')).includes('Somebody else was faster.'), 'The change of somebody else is not shown.');
  check((await page.getByLabel('Text').inputValue()) === 'My own words.', 'A conflict lost the text.');
  await save();
  await page.waitForURL(`${origin}/articles/${slug}`);
  check((await page.locator('.prose').innerText()).trim() === 'My own words.', 'A second save does not decide.');

  await page.getByRole('link', { name: 'Edit this article' }).click();
  await page.getByRole('link', { name: 'Delete…' }).click();
  await page.waitForURL(`${origin}/articles/${slug}/delete`);
  await look('delete');
  await page.getByRole('button', { name: 'Delete it' }).click();
  await page.waitForURL(`${origin}/`);
  check((await said()) === 'Deleted.', 'A deleted article is not announced.');
  await look('deleted');
  check((await page.locator(`a[href="/articles/${slug}"]`).count()) === 0, 'A deleted article is still on the list.');
}

/** Whoever wants to write is asked who that is, and goes on from there. */
async function signIn(page) {
  await page.waitForURL((url) => url.pathname === '/login');
  await page.getByLabel('E-mail address').fill(email);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** The forms around an account, filled in wrongly, and the account itself. */
async function account(page, check, name) {
  const look = (label) => inspect(page, check, label, name);
  const press = (button) => page.getByRole('button', { name: button, exact: true }).click();
  const warned = () => page.locator('.warning:focus').waitFor();

  await page.goto(`${origin}/`);
  await page.getByRole('navigation', { name: 'Site' }).getByRole('link', { name: 'Account' }).click();
  await page.waitForURL(`${origin}/login?next=/account`);
  await look('login');
  await page.getByLabel('E-mail address').fill(email);
  await page.getByLabel('Password').fill('not the password');
  await press('Sign in');
  await warned();
  await look('login-refused');
  check((await page.getByLabel('E-mail address').inputValue()) === email, 'A wrong password lost the address.');
  check((await page.getByLabel('Password').inputValue()) === '', 'A wrong password came back.');

  await page.getByRole('link', { name: 'Ask for an account' }).click();
  await page.waitForURL(`${origin}/register`);
  await look('register');
  await page.getByLabel('Password').fill('password1234');
  await press('Register');
  await page.locator('.field.wrong').first().waitFor();
  await look('register-refused');
  await page.goto(`${origin}/forgot`);
  await look('forgot');
  for (const path of ['reset', 'verify']) {
    await page.goto(`${origin}/${path}?token=none`);
    await look(path);
  }

  await page.goto(`${origin}/account`);
  await signIn(page);
  await page.waitForURL(`${origin}/account`);
  check((await text(page, '.opening p')) === `${email}, admin`, 'The account does not say whose it is.');
  await look('account');
  await page.getByLabel('Current password').fill('not the password');
  await page.getByLabel('New password').fill('another horse altogether');
  await press('Change it');
  await page.locator('.field.wrong').waitFor();
  await look('account-refused');
  await page.getByRole('link', { name: 'Change the address' }).click();
  await page.waitForURL(`${origin}/account/email`);
  await look('email');
  await page.goto(`${origin}/account`);
  await press('Sign out here');
  await page.waitForURL(`${origin}/login`);
  check((await text(page, '.notice')) === 'You are signed out.', 'Signing out is not announced.');
  await page.goto(`${origin}/account`);
  check(page.url().startsWith(`${origin}/login`), 'The account is shown to who is signed out.');
}

/** The forms are complete without a script: the same way, without the checks that need one. */
async function writingWithoutJavaScript(page, check) {
  const slug = 'without-a-script';
  const save = () => page.getByRole('button', { name: 'Save' }).click();
  await page.goto(`${origin}/articles/new`);
  await signIn(page);
  await page.getByLabel('Address').fill(slug);
  await save();
  await page.locator('.warning').waitFor();
  check((await page.locator('.warning:focus').count()) === 1, 'Without JavaScript the list of mistakes does not take the focus.');
  await page.getByLabel('Title').fill('Without a script');
  await save();
  await page.waitForURL(`${origin}/articles/${slug}/edit`);
  check((await text(page, '.notice')).startsWith('Saved as a draft.'), 'Without JavaScript a draft is not announced.');
  await page.getByLabel('Published').check();
  await save();
  await page.waitForURL(`${origin}/articles/${slug}`);
  await page.goto(`${origin}/articles/${slug}/delete`);
  await page.getByRole('button', { name: 'Delete it' }).click();
  await page.waitForURL(`${origin}/`);
  check((await text(page, '.notice')) === 'Deleted.', 'Without JavaScript a deleted article is not announced.');
}

/** An article is written and deleted without touching the mouse. */
async function writingByKeyboard(page, check) {
  const { keyboard } = page;
  const tabTo = async (selector) => {
    for (let presses = 0; presses < 40; presses++) {
      await keyboard.press('Tab');
      if ((await page.locator(`${selector}:focus`).count()) === 1) {
        const outlined = await page.locator(selector).evaluate((element) => getComputedStyle(element).outlineStyle !== 'none');
        return check(outlined, `The focus cannot be seen on ${selector}.`);
      }
    }
    throw new Error(`forty presses of Tab do not reach ${selector}`);
  };
  await page.goto(`${origin}/`);
  await tabTo('.masthead a[href="/articles/new"]');
  await keyboard.press('Enter');
  await page.waitForURL((url) => url.pathname === '/login');
  await tabTo('#email');
  await keyboard.type(email);
  await tabTo('#password');
  await keyboard.type(password);
  await keyboard.press('Enter');
  await page.waitForURL(`${origin}/articles/new`);
  await tabTo('#title');
  await keyboard.type('By keyboard');
  await tabTo('#body');
  await keyboard.type('Tap, tap.');
  await tabTo('#status');
  await keyboard.press('ArrowDown');
  await tabTo('.form button');
  await keyboard.press('Enter');
  await page.waitForURL(`${origin}/articles/by-keyboard`);
  await tabTo('a[href="/articles/by-keyboard/edit"]');
  await keyboard.press('Enter');
  await page.waitForURL(`${origin}/articles/by-keyboard/edit`);
  await tabTo('.form a.danger');
  await keyboard.press('Enter');
  await page.waitForURL(`${origin}/articles/by-keyboard/delete`);
  await tabTo('.form button');
  await keyboard.press('Enter');
  await page.waitForURL(`${origin}/`);
}

/** A link under the pointer is fetched before it is clicked. */
async function fetchingEarly(page, check) {
  await page.goto(`${origin}/`);
  const link = await firstArticle(page);
  const url = await link.evaluate((a) => a.href);
  const early = page.context().waitForEvent('request', { predicate: (request) => request.url() === url, timeout: 20_000 });
  await link.hover();
  const request = await early.catch(() => null);
  check(request !== null, 'A link under the pointer is not fetched.');
  const purpose = (await request?.allHeaders())?.['sec-purpose'] ?? '';
  check(purpose.startsWith('prefetch'), `The early request says “${purpose}” of itself.`);
}

/** Both colour schemes exist, and differ. */
async function schemes(page, check) {
  await page.goto(`${origin}/`);
  const background = async (colorScheme) => {
    await page.emulateMedia({ colorScheme });
    return page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  };
  const [light, dark] = [await background('light'), await background('dark')];
  check(light !== dark, `The background is ${light} in the light and in the dark scheme.`);
}

/** The site is complete without a script. */
async function withoutJavaScript(page, check) {
  await page.goto(`${origin}/`);
  const first = await firstArticle(page);
  const title = (await first.innerText()).trim();
  await first.click();
  await page.waitForURL((url) => url.pathname.startsWith('/articles/'));
  check((await text(page, 'h1')) === title, 'Without JavaScript the first article cannot be read.');
  const styled = await page.locator('body').evaluate((body) => getComputedStyle(body).display);
  check(styled === 'grid', 'Without JavaScript the stylesheet is not applied.');
  const tag = page.locator('main a[rel=tag]').first();
  const target = await tag.evaluate((a) => a.href);
  await tag.click();
  await page.waitForURL(target);
  check((await page.locator('main article h2 a').count()) > 0, 'Without JavaScript following a tag lists no article.');
}

/** The site is usable, and shows where one is, with the keyboard alone. */
async function keyboard(page, check) {
  const focused = () =>
    page.evaluate(() => {
      const element = document.activeElement;
      const box = element.getBoundingClientRect();
      return {
        name: element.innerText.trim(),
        href: element.getAttribute('href'),
        title: element.matches('main article h2 a'),
        outlined: getComputedStyle(element).outlineStyle !== 'none',
        seen: box.top >= 0 && box.left >= 0 && box.bottom <= innerHeight && box.width > 0,
        inMain: document.querySelector('main').contains(element),
      };
    });

  await page.goto(`${origin}/`);
  await page.keyboard.press('Tab');
  const skip = await focused();
  check(skip.href === '#content', `The first tab stop is “${skip.name}”, not the skip link.`);
  check(skip.seen && skip.outlined, 'The skip link stays out of sight when it has the focus.');
  await page.keyboard.press('Enter');
  const moved = await page.locator('#content:focus').waitFor({ timeout: 10_000 }).then(() => true, () => false);
  check(moved, 'The skip link does not move the focus to the content.');
  await page.keyboard.press('Tab');
  check((await focused()).inMain, 'After the skip link the next tab stop is not in the content.');

  await page.goto(`${origin}/`);
  await firstArticle(page);
  let stop;
  for (let presses = 0; presses < 20 && !stop?.title; presses++) {
    await page.keyboard.press('Tab');
    stop = await focused();
    check(stop.outlined, `The focus cannot be seen on “${stop.name}”.`);
  }
  check(stop.title, 'Twenty presses of Tab do not reach an article.');
  await page.keyboard.press('Enter');
  await page.waitForURL((url) => url.pathname.startsWith('/articles/'));
  check((await text(page, 'h1')) === stop.name, `Enter on “${stop.name}” opened another article.`);
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
  const foreign = new Set();
  const errors = new Set();
  context.on('request', (request) => {
    const url = new URL(request.url());
    if (url.origin !== origin && !['data:', 'blob:'].includes(url.protocol)) foreign.add(url.href);
  });
  context.on('response', (response) => {
    if (response.status() >= 400 && !isExpected(response)) errors.add(`${response.status()} for ${response.url()}`);
  });
  context.on('console', (message) => {
    if (message.type() === 'error' && !isRefusal(message)) errors.add(message.text());
  });
  context.on('weberror', (error) => {
    // Chromium reports a view transition that it skips (a busy machine, a fast click) as an unhandled rejection.
    const { message } = error.error();
    if (!message.startsWith('Transition was ')) errors.add(message);
  });
  await context.addInitScript(() => {
    window.layoutShift = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.layoutShift += entry.value;
    }).observe({ type: 'layout-shift', buffered: true });
  });

  try {
    await walk(page, check, name);
  } catch (error) {
    check(false, `The walk stopped at ${page.url()}: ${error.message.split('\n')[0]}`);
  }
  check(foreign.size === 0, `The pages asked other hosts for ${[...foreign].join(', ')}.`);
  check(errors.size === 0, `The browser reports errors: ${[...errors].join('; ')}`);
  await context.close();
}

/** The missing page, and a form that comes back: 422 for mistakes, 409 for a change by somebody else. */
function isExpected(response) {
  return response.url() === missing || (response.request().method() === 'POST' && [409, 422].includes(response.status()));
}

/** Chromium reports every refused navigation as an error. */
function isRefusal(message) {
  const isForm = /\/(articles\/(new|[\w-]+\/edit)|login|register|account\/password)$/.test(message.location().url);
  return message.location().url === missing || (isForm && /status of (409|422)/.test(message.text()));
}

async function firstArticle(page) {
  const links = page.locator('main article h2 a');
  if ((await links.count()) === 0) throw new Error('it lists no article, so seed the service first.');
  return links.first();
}

async function text(page, selector) {
  return (await page.locator(selector).first().innerText()).trim();
}

function screenshot(page, label, name) {
  return page.screenshot({ path: join(shots, `${label}-${name.replaceAll(', ', '-')}.png`), fullPage: true });
}

function exit(sentence) {
  console.error(sentence);
  process.exit(2);
}

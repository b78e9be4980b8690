// Weighs the first visit to an article of a running, seeded service with the assets of a release: node budget.mjs <base-url>

import { Checks, exit, launch } from './browser.mjs';

const [baseUrl] = process.argv.slice(2);
if (!URL.canParse(baseUrl ?? '')) exit('Usage: node budget.mjs <base-url>');

/** What a page may weigh with the styles that it needs at once, and a first visit without images: compressed, in bytes. */
const MOST_IN_THE_PAGE = 14 * 1024;
const MOST_IN_ALL = 60 * 1024;

const origin = new URL(baseUrl).origin;
const checks = new Checks();
const browser = await launch();
try {
  for (const [name, options] of Object.entries({
    desktop: { viewport: { width: 1280, height: 900 } },
    phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true },
  })) {
    await checks.run((check) => firstVisit(name, options, check));
  }
} finally {
  await browser.close();
}
checks.finish();

async function firstVisit(name, options, check) {
  const article = await anArticle();
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const errors = [];
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('pageerror', (error) => errors.push(error.message));
  await page.addInitScript(() => {
    window.layoutShift = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) window.layoutShift += entry.value;
    }).observe({ type: 'layout-shift', buffered: true });
  });
  // What goes over the wire, as the browser itself has counted it.
  const devtools = await context.newCDPSession(page);
  const [types, sizes] = [new Map(), new Map()];
  await devtools.send('Network.enable');
  devtools.on('Network.responseReceived', ({ requestId, type, response }) => types.set(requestId, [type, response.url]));
  devtools.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => sizes.set(requestId, encodedDataLength));

  await page.goto(article, { waitUntil: 'networkidle' });
  const loaded = [...sizes].map(([id, size]) => ({ size, type: types.get(id)?.[0], url: types.get(id)?.[1] }));
  const sum = (list) => list.reduce((sum, { size }) => sum + size, 0);
  const html = loaded.filter(({ type, url }) => type === 'Document' && url === article);
  const styles = loaded.filter(({ type }) => type === 'Stylesheet');
  const critical = sum(html) + sum(styles);
  const all = sum(loaded.filter(({ type }) => type !== 'Image'));
  check(html.length === 1, `The page was loaded ${html.length} times.`);
  check(critical <= MOST_IN_THE_PAGE, `The page and its styles weigh ${critical} bytes.`);
  check(all <= MOST_IN_ALL, `A first visit weighs ${all} bytes.`);

  const { blocking, shift } = await page.evaluate(() => ({
    blocking: performance.getEntriesByType('resource').filter((entry) => entry.renderBlockingStatus === 'blocking').map((entry) => entry.name),
    shift: window.layoutShift,
  }));
  check(blocking.length <= 1, `The page waits for ${blocking.join(', ')}.`);
  check(blocking.every((url) => url.endsWith('.css')), `The page waits for what is no stylesheet: ${blocking.join(', ')}.`);
  check(shift === 0, `The page moved while it loaded (layout shift ${shift}).`);
  check(errors.length === 0, `The browser reports errors: ${errors.join('; ')}`);
  // No name without a hash: otherwise this is a build for development, whose sizes say nothing.
  const names = styles.map(({ url }) => url);
  check(names.every((url) => /\.[0-9a-f]{8}\.css$/.test(url)), `The styles are not those of a release: ${names.join(', ')}`);
  console.log(`${name}: page ${sum(html)} bytes, with its styles ${critical}; all of ${loaded.length} requests but images ${all}`);
  await context.close();
}

/** The address of the first article on the front page. */
async function anArticle() {
  const text = await (await fetch(`${origin}/`)).text();
  const path = /href="(\/articles\/[^"/]+)"[^>]*>/.exec(text.slice(text.indexOf('<main')))?.[1];
  if (!path) throw new Error('the front page lists no article, so seed the service first');
  return origin + path;
}

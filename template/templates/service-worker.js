// Shows visited pages without a network. Every build has its own worker, and that its own cache.

const PREFIX = "site-";
const CACHE = PREFIX + "{{ build }}";

/** The page for addresses that are not kept. */
const OFFLINE = "{{ offline }}";

/** What every page loads. */
const SHELL = {{ shell }};

/** What the addresses of assets begin with. */
const ASSETS = new URL("{{ assets }}", location).href;

/** Whether an asset with other content has another name; not so in development. */
const NAMES_CHANGE = {{ names_change }};

/** The pages that are kept; the one that was visited longest ago goes first. */
const MOST_PAGES = 50;

addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll([OFFLINE, ...SHELL])));
});

// A worker waits until no page of the build before is open, which could still want something from that one's cache.
// So there is no skipWaiting, and taking over pages that were opened without a worker disturbs none.
addEventListener("activate", (event) => event.waitUntil(takeOver()));

addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || request.headers.has("range")) return;
  if (request.url.startsWith(ASSETS)) event.respondWith(asset(event));
  else if (request.mode === "navigate" && mayBePage(request.url)) event.respondWith(page(event));
});

async function takeOver() {
  const older = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(older.map((name) => caches.delete(name)));
  // The request for a page need not wait until this worker has started.
  await registration.navigationPreload?.enable();
  await clients.claim();
  const open = (await clients.matchAll({ type: "window" })).filter(({ url }) => mayBePage(url));
  await Promise.allSettled(open.map(async ({ url }) => keepPage(url, await fetch(url))));
}

/** From the cache, because a name never gets other content; where it may, only without a network. */
async function asset(event) {
  const { request } = event;
  const kept = await find(request);
  if (kept && NAMES_CHANGE) return kept;
  try {
    const answer = await fetch(request);
    if (answer.status === 200 && NAMES_CHANGE) event.waitUntil(keep(request, answer.clone()));
    return answer;
  } catch (error) {
    if (kept) return kept;
    throw error;
  }
}

/** From the network; without one, as it was at the last visit. */
async function page(event) {
  const { url } = event.request;
  try {
    const answer = (await event.preloadResponse) ?? (await fetch(event.request));
    event.waitUntil(keepPage(url, answer.clone()));
    return answer;
  } catch {
    return (await find(url)) ?? (await find(OFFLINE)) ?? Response.error();
  }
}

/** Keeps a page that is the same for everybody. */
async function keepPage(url, answer) {
  const cache = await caches.open(CACHE);
  if ([404, 410].includes(answer.status)) await cache.delete(url);
  const isHtml = answer.headers.get("content-type")?.startsWith("text/html");
  const isPrivate = /private|no-store/.test(answer.headers.get("cache-control"));
  if (answer.status !== 200 || answer.redirected || !isHtml || isPrivate) return;
  // A page that is put again is the last one.
  await cache.delete(url);
  await keep(url, answer);
  const isVisited = (request) => mayBePage(request.url) && new URL(request.url).pathname !== OFFLINE;
  const visited = (await cache.keys()).filter(isVisited);
  await Promise.all(visited.slice(0, -MOST_PAGES).map((request) => cache.delete(request)));
}

/** Whether an address can be that of a page: of this site, and not one for programs. */
function mayBePage(address) {
  const url = new URL(address);
  return url.origin === location.origin && !url.href.startsWith(ASSETS) && !/^\/(api|health)(\/|$)/.test(url.pathname);
}

async function find(request) {
  const cache = await caches.open(CACHE);
  return cache.match(request, { ignoreVary: true });
}

async function keep(request, answer) {
  const cache = await caches.open(CACHE);
  // Without room for it the visitor has seen it all the same.
  await cache.put(request, answer).catch(() => {});
}

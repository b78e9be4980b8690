// Fetches a page of this site when somebody is about to follow a link to it.

/** How long a pointer has to rest on a link before that means something, in milliseconds. */
const REST = 65;

/** What is no page, or a form that would be made for nothing. */
const NO_PAGE = /^\/api\/|\/(new|edit|delete)$/;

const fetched = new Set<string>();

export function fetchAhead(root: Document): void {
  let waiting: number | undefined;
  root.addEventListener("pointerover", (event) => {
    const link = linkOf(event);
    clearTimeout(waiting);
    if (link) waiting = setTimeout(() => prefetch(root, link.href), REST);
  });
  root.addEventListener("touchstart", (event) => {
    const link = linkOf(event);
    if (link) prefetch(root, link.href);
  }, { passive: true });
}

/** The link to another page of this site that the event is about. */
function linkOf(event: Event): HTMLAnchorElement | null {
  const link = event.target instanceof Element ? event.target.closest<HTMLAnchorElement>("a[href]") : null;
  const isOurs = link && link.origin === location.origin && link.pathname !== location.pathname;
  return isOurs && !NO_PAGE.test(link.pathname) ? link : null;
}

function prefetch(root: Document, url: string): void {
  if (fetched.has(url)) return;
  fetched.add(url);
  const hint = root.createElement("link");
  hint.rel = "prefetch";
  hint.href = url;
  root.head.append(hint);
}

// In development: shows what has changed without a hand on the keyboard.

let seen;
let notice;

new EventSource("/dev/reload").addEventListener("message", (event) => {
  const { age, ...now } = JSON.parse(event.data);
  show(now.broken);
  if (now.broken) return;
  // Something may have changed between this page and the first it hears.
  const last = seen ?? (age < performance.now() ? {} : now);
  seen = now;
  if (last.build !== now.build || last.rest !== now.rest) location.reload();
  else if (last.styles !== now.styles) swapStyles();
});

/** Puts each stylesheet in the place of its older self, which goes when the new one is there. */
function swapStyles() {
  for (const link of document.querySelectorAll("link[rel=stylesheet]")) {
    const next = link.cloneNode();
    const url = new URL(link.href);
    url.searchParams.set("changed", Date.now());
    next.href = url;
    next.addEventListener("load", () => link.remove());
    link.after(next);
  }
}

/** Shows what is wrong with a source, over the page as it was. */
function show(text) {
  notice?.remove();
  notice = undefined;
  if (!text) return;
  notice = document.createElement("pre");
  notice.textContent = text;
  notice.style.cssText = "position:fixed;inset:auto 0 0;z-index:9;margin:0;padding:1rem;background:#b00020;color:#fff;white-space:pre-wrap";
  notice.setAttribute("role", "alert");
  document.body.append(notice);
}

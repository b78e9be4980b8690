// Has the browser keep what is visited, for when there is no network.

export function workOffline(): void {
  // Browsers know service workers on HTTPS and localhost only, and may refuse one; the site works without it.
  navigator.serviceWorker?.register("/service-worker.js").catch(() => {});
}

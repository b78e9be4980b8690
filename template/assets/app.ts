// What every page runs. It works without: a page that has no scripts is only a little slower.

import { fetchAhead } from "./_prefetch.ts";

// Browsers that know speculation rules fetch ahead by themselves.
if (!HTMLScriptElement.supports?.("speculationrules")) fetchAhead(document);

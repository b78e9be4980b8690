// What every page runs. It works without: a page that has no scripts is only a little slower.{% capture body %}

import { fetchAhead } from "./_prefetch.ts"; //~{% if features contains "pwa" %}
import { workOffline } from "./_offline.ts"; //~{% endif %}

// Browsers that know speculation rules fetch ahead by themselves.
if (!HTMLScriptElement.supports?.("speculationrules")) fetchAhead(document); //~{% if features contains "pwa" %}

workOffline(); //~{% endif %}{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}

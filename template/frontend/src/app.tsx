// The frame around every page, and which page is shown at which address.{% capture body %}

import { ErrorBoundary, LocationProvider, Route, Router, useLocation } from 'preact-iso';
import { ArticleSection } from './articles/section';
import { Drafts, Published } from './articles/list';
import { later } from './parts/later';
import { notice } from './notice';
import { NotFound } from './parts/failed';
import { SITE } from './parts/heading';

const Write = later(() => import('./articles/write')); //~{% if features contains "auth" %}
const AccountPage = later(() => import('./account/page')); //~{% endif %}

/** What the service answers itself: links there leave the application. */
const OWN_ADDRESSES = /^\/(?!api(\/|$)|health(\/|$))/;

const PAGES = [
  ['/', Published],
  ['/drafts', Drafts],
  ['/write', Write],
  ['/articles/:slug', ArticleSection],
  ['/articles/:slug/*', ArticleSection], //~{% if features contains "auth" %}
  ['/account', AccountPage], //~{% endif %}
] as const;

export function App() {
  return (
    <LocationProvider scope={OWN_ADDRESSES}>
      <a class="skip" href="#content">Skip to content</a>
      <Masthead />
      <main id="content" tabIndex={-1}>
        <Notice />
        <ErrorBoundary>
          <Router>
            {PAGES.map(([path, component]) => <Route key={path} path={path} component={component} />)}
            <Route default component={NotFound} />
          </Router>
        </ErrorBoundary>
      </main>
      <footer class="colophon">
        <p>{SITE}</p>
        <nav aria-label="API">
          <a href="/api/docs">API documentation</a>
          <a href="/api/openapi.json">OpenAPI document</a>
        </nav>
      </footer>
    </LocationProvider>
  );
}

const SECTIONS = [
  ['/', 'Articles'],
  ['/drafts', 'Drafts'],
  ['/write', 'New article'], //~{% if features contains "auth" %}
  ['/account', 'Account'], //~{% endif %}
] as const;

function Masthead() {
  const { path } = useLocation();
  return (
    <header class="masthead">
      <a class="brand" href="/">
        <img src="/favicon.svg" alt="" width="24" height="24" />
        {SITE}
      </a>
      <nav aria-label="Site">
        {SECTIONS.map(([href, name]) => (
          <a key={href} href={href} aria-current={path === href ? 'page' : undefined}>{name}</a>
        ))}
        <a href="/api/docs">API</a>
      </nav>
    </header>
  );
}

/** What has just been done, on the page that it led to. */
function Notice() {
  const { url } = useLocation();
  const text = notice.value?.at === url ? notice.value.text : '';
  // What is put into it is read out, so it is always there.
  return <div role="status">{text && <p class="notice">{text}</p>}</div>;
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}

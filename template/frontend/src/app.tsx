// The frame around every page, and which page is shown at which address.

import { ErrorBoundary, LocationProvider, Route, Router, useLocation } from 'preact-iso';
import { ArticleSection } from './articles/section';
import { Drafts, Published } from './articles/list';
import { later } from './parts/later';
import { notice } from './notice';
import { NotFound } from './parts/failed';
import { SITE } from './parts/heading';

const Write = later(() => import('./articles/write'));

/** What the service answers itself: links there leave the application. */
const OWN_ADDRESSES = /^\/(?!api(\/|$)|health(\/|$))/;

export function App() {
  return (
    <LocationProvider scope={OWN_ADDRESSES}>
      <a class="skip" href="#content">Skip to content</a>
      <Masthead />
      <main id="content" tabIndex={-1}>
        <Notice />
        <ErrorBoundary>
          <Router>
            <Route path="/" component={Published} />
            <Route path="/drafts" component={Drafts} />
            <Route path="/write" component={Write} />
            <Route path="/articles/:slug" component={ArticleSection} />
            <Route path="/articles/:slug/*" component={ArticleSection} />
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
  ['/write', 'New article'],
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
}

// What a visitor sees instead of a page that cannot be shown, and while a page is on its way.

import { useEffect } from 'preact/hooks';
import { Failure } from '../api/client';
import { Heading } from './heading';

export function NotFound() {
  return <Failed failure={new Failure({ status: 404, title: 'Not found' })} />;
}

/** Says what went wrong and, where another try may help, offers it; back online it is made by itself. */
export function Failed({ failure, again }: { failure: Failure; again?: () => void }) {
  const problem = failure.problem;
  useEffect(() => {
    if (!again || problem) return;
    addEventListener('online', again);
    return () => removeEventListener('online', again);
  });
  const isWorthAnotherTry = again && (!problem || problem.status >= 500);
  return (
    <>
      <div class="failure">
        {problem && <p class="status">{problem.status}</p>}
        <header class="opening"><Heading title={failure.message} /></header>
        <div class="prose">
          {!problem && <p>Check the connection to the network, then try again.</p>}
          {problem?.detail && <p>{problem.detail}</p>}
          {isWorthAnotherTry && <p><button type="button" onClick={again}>Try again</button></p>}
          {problem?.request_id && <p class="fine">Request <code>{problem.request_id}</code></p>}
        </div>
      </div>
      <nav class="pager" aria-label="More articles"><a href="/">All articles</a></nav>
    </>
  );
}

/** Keeps the place of a page; it says so only if that takes long enough to be noticed. */
export function Waiting() {
  return <p class="waiting" aria-busy="true">Loading…</p>;
}

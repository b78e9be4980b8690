// What a writer reads who is not signed in, or no longer: the session is the browser's, so another tab will do.

import type { RefObject } from 'preact';

export function SignInFirst({ box }: { box: RefObject<HTMLDivElement | null> }) {
  return (
    <div class="warning" role="alert" tabIndex={-1} ref={box}>
      <h2>Sign in first</h2>
      <p>
        Nothing you wrote is lost. <a href="/account" target="_blank">Sign in in another tab</a>, then save again.
      </p>
    </div>
  );
}

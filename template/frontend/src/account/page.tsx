// The page of the account: who is signed in, or the form to be.

import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { Failure } from '../api/client';
import { Failed, Waiting } from '../parts/failed';
import { TextField } from '../parts/field';
import { Heading } from '../parts/heading';
import { signIn, signOut, useMe, type User } from './api';

export default function AccountPage() {
  const { value, failure, again } = useMe();
  if (failure?.problem?.status === 401) return <SignIn />;
  if (failure) return <Failed failure={failure} again={again} />;
  return value ? <Account user={value} again={again} /> : <Waiting />;
}

function Account({ user, again }: { user: User; again: () => void }) {
  const { failure, isBusy, attempt } = useAttempt();
  const leave = async () => {
    await signOut();
    again();
  };
  return (
    <>
      <header class="opening">
        <Heading title="Account" />
        <p>{user.email}, {user.role}</p>
      </header>
      {failure && <Warning failure={failure} key={failure} />}
      <div class="actions">
        <button type="button" aria-disabled={isBusy} onClick={() => void attempt(leave)}>Sign out</button>
      </div>
    </>
  );
}

function SignIn() {
  const { failure, isBusy, attempt } = useAttempt();
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string) => String(fields.get(name) ?? '');
    void attempt(() => signIn({ email: text('email'), password: text('password') }));
  };
  const empty = { value: undefined, error: undefined, theirs: undefined };
  return (
    <>
      <header class="opening"><Heading title="Sign in" /></header>
      {failure && <Warning failure={failure} key={failure} />}
      <form class="form" noValidate aria-label="Sign in" onSubmit={submit}>
        <TextField {...empty} name="email" label="E-mail address" inputMode="email" autocomplete="username" required />
        <TextField {...empty} name="password" label="Password" isSecret autocomplete="current-password" required />
        <div class="actions"><button type="submit" aria-disabled={isBusy}>Sign in</button></div>
      </form>
    </>
  );
}

/** One request at a time, and why the last one failed. */
function useAttempt() {
  const [failure, setFailure] = useState<Failure>();
  const [isBusy, setBusy] = useState(false);
  const attempt = async (request: () => Promise<void>) => {
    if (isBusy) return;
    setBusy(true);
    try {
      await request();
    } catch (error) {
      setFailure(error instanceof Failure ? error : new Failure(undefined, error));
      setBusy(false);
    }
  };
  return { failure, isBusy, attempt };
}

/** Why it did not work. It takes the focus, so that nobody has to look for it. */
function Warning({ failure }: { failure: Failure }) {
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => box.current?.focus(), []);
  const { status, detail } = failure.problem ?? {};
  return (
    <div class="warning" role="alert" tabIndex={-1} ref={box}>
      <p>{detail ?? `${failure.message}.`}{status ? '' : ' Check the connection, then try again.'}</p>
    </div>
  );
}

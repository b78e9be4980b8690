// Who is signed in. The browser keeps the session in a cookie that no script can read.

import { answerTo, api } from '../api/client';
import type { components } from '../api/schema';
import { changed, useAnswer } from '../store';

export type Credentials = components['schemas']['Credentials'];
export type User = components['schemas']['UserDocument'];

const ME = '/api/v1/users/me';

const ask = () => answerTo(api.GET(ME));

/** A failure with the status 401 says that nobody is. */
export function useMe() {
  return useAnswer<User>(ME, ask);
}

export async function signIn(body: Credentials): Promise<void> {
  await answerTo(api.POST('/api/v1/auth/session', { body }));
  changed({ [ME]: await ask() });
}

/** Forgets what only the one who was signed in may see. */
export async function signOut(): Promise<void> {
  await answerTo(api.POST('/api/v1/auth/logout'));
  changed();
}

// How somebody signs in and out, and what a writer sees who has not.

import { screen, waitFor } from '@testing-library/dom';
import { userEvent } from '@testing-library/user-event';
import { expect, test } from 'vitest';
import { json, open, problem, serve } from '../test';

const ME = 'GET /api/v1/users/me';
const LOGIN = 'POST /api/v1/auth/session';
const USER = {
  id: '01900000-0000-7000-8000-000000000002',
  email: 'ada@example.com',
  name: 'Ada',
  role: 'editor',
  is_active: true,
  verified_at: '2026-01-02T03:04:05Z',
  created_at: '2026-01-02T03:04:05Z',
  updated_at: '2026-01-02T03:04:05Z',
};

const nobody = problem(401, 'Authentication is required', { detail: 'Sign in first.' });
const nothing = () => new Response(null, { status: 204 });
const heading = (name: string) => screen.findByRole('heading', { level: 1, name });
const button = (name: string) => screen.findByRole('button', { name });

async function fillIn() {
  await userEvent.type(await screen.findByLabelText('E-mail address'), 'ada@example.com');
  await userEvent.type(screen.getByLabelText('Password'), 'correct horse');
  await userEvent.click(await button('Sign in'));
}

test('who signs in sees the account, and nothing of it after signing out', async () => {
  let isSignedIn = false;
  const asked = serve({
    [ME]: () => (isSignedIn ? json(USER)() : nobody()),
    [LOGIN]: () => ((isSignedIn = true), nothing()),
    'POST /api/v1/auth/logout': () => ((isSignedIn = false), nothing()),
  });
  await open('/account');
  await fillIn();
  expect(await heading('Account')).toBeTruthy();
  expect(screen.getByText('ada@example.com, editor')).toBeTruthy();
  expect(asked.find(({ line }) => line === LOGIN)?.body).toEqual({ email: 'ada@example.com', password: 'correct horse' });
  await userEvent.click(await button('Sign out'));
  expect(await heading('Sign in')).toBeTruthy();
});

test('a wrong password is told, and the address need not be typed again', async () => {
  const detail = 'The e-mail address or the password is wrong.';
  serve({ [ME]: nobody, [LOGIN]: problem(401, 'Wrong', { detail }) });
  await open('/account');
  await fillIn();
  const warning = await screen.findByRole('alert');
  await waitFor(() => expect(document.activeElement).toBe(warning));
  expect(warning.textContent).toBe(detail);
  expect(screen.getByLabelText<HTMLInputElement>('E-mail address').value).toBe('ada@example.com');
});

test('a writer who is not signed in is told where to be, and loses nothing', async () => {
  serve({ 'POST /api/v1/articles': nobody });
  await open('/write');
  await userEvent.type(await screen.findByLabelText('Text'), 'Long work');
  await userEvent.click(await button('Save'));
  const warning = await screen.findByRole('alert');
  expect(warning.querySelector('a')?.getAttribute('href')).toBe('/account');
  expect(screen.getByLabelText<HTMLTextAreaElement>('Text').value).toBe('Long work');
});

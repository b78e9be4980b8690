// What the tests share: the application in a document of its own, on a service that answers as it is told.

import { render, type VNode } from 'preact';
import { act } from 'preact/test-utils';
import { afterEach, vi } from 'vitest';
import { App } from './app';
import type { Article } from './articles/api';
import { changed } from './store';

export const ARTICLE: Article = {
  id: '01900000-0000-7000-8000-000000000001',
  slug: 'hello',
  title: 'Hello',
  summary: 'A greeting.',
  tags: ['rust'],
  status: 'published',
  published_at: '2026-01-02T03:04:05Z',
  created_at: '2026-01-02T03:04:05Z',
  updated_at: '2026-01-02T03:04:05Z',
  version: 3,
  body: 'Welcome.',
  body_html: '<p>Welcome.</p>',
};

/** A request as the service got it. */
export interface Asked {
  line: string;
  headers: Headers;
  body: unknown;
}

type Answers = Record<string, () => Response>;

/** Answers by `METHOD /path?query`; where there is no answer, the network is gone. */
export function serve(answers: Answers): Asked[] {
  const asked: Asked[] = [];
  vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
    const request = new Request(input, init);
    const { pathname, search } = new URL(request.url);
    const line = `${request.method} ${pathname}${search}`;
    const text = await request.text();
    asked.push({ line, headers: request.headers, body: text && JSON.parse(text) });
    const answer = answers[line];
    if (!answer) throw new TypeError('Failed to fetch');
    return answer();
  });
  return asked;
}

export const json = (body: unknown, status = 200) => () => Response.json(body, { status });

export const problem = (status: number, title: string, more: object = {}) => () =>
  new Response(JSON.stringify({ type: '/problems/x', title, status, instance: '/', request_id: 'r1', ...more }), {
    status,
    headers: { 'content-type': 'application/problem+json' },
  });

/** Opens the application as a visitor does who types the address. */
export async function open(address: string): Promise<void> {
  history.replaceState(null, '', address);
  await show(<App />);
}

export async function show(what: VNode): Promise<void> {
  document.body.innerHTML = '<div id="app"></div>';
  await act(() => render(what, root()));
}

const root = () => document.getElementById('app') as HTMLElement;

afterEach(() => {
  if (root()) render(null, root());
  changed();
});

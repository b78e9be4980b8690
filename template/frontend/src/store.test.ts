// What is kept of the service's answers, and for how long.

import { screen } from '@testing-library/dom';
import { expect, test, vi } from 'vitest';
import { takeSentData } from './store';
import { ARTICLE, json, open, serve } from './test';

const heading = (name: string) => screen.findByRole('heading', { level: 1, name });

test('what the service sent with the page is shown without asking', async () => {
  const asked = serve({});
  const page = new DOMParser().parseFromString(
    `<script type="application/json" id="data">${JSON.stringify({ '/api/v1/articles/by-slug/hello': ARTICLE })}</script>`,
    'text/html',
  );
  takeSentData(page);
  await open('/articles/hello');
  await heading('Hello');
  expect(asked).toEqual([]);
});

test('a page without data asks for it', async () => {
  const asked = serve({ 'GET /api/v1/articles/by-slug/hello': json(ARTICLE) });
  takeSentData(document);
  await open('/articles/hello');
  await heading('Hello');
  expect(asked).toHaveLength(1);
});

test('an answer is shown at once when its page is visited again, and renewed when it is old', async () => {
  let title = 'Old';
  const asked = serve({ 'GET /api/v1/articles/by-slug/hello': () => json({ ...ARTICLE, title })() });
  await open('/articles/hello');
  await heading('Old');
  title = 'New';
  await open('/articles/hello');
  expect(await heading('Old')).toBeTruthy();
  expect(asked).toHaveLength(1);
  vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 60_000);
  await open('/articles/hello');
  await heading('New');
  expect(asked).toHaveLength(2);
});

// What a visitor and a writer do with articles.

import { screen, waitFor } from '@testing-library/dom';
import { userEvent } from '@testing-library/user-event';
import { expect, test } from 'vitest';
import { SITE } from '../parts/heading';
import { ARTICLE, json, open, problem, serve } from '../test';

const LIST = 'GET /api/v1/articles';
const ONE = 'GET /api/v1/articles/by-slug/hello';
const ITSELF = `/api/v1/articles/${ARTICLE.id}`;

const heading = (name: string | RegExp) => screen.findByRole('heading', { level: 1, name });
const link = (name: string) => screen.findByRole('link', { name });
const button = (name: string) => screen.findByRole('button', { name });

test('a visitor goes from the list to an article, and the heading has the focus', async () => {
  serve({ [LIST]: json({ items: [ARTICLE] }), [ONE]: json(ARTICLE) });
  await open('/');
  await userEvent.click(await link('Hello'));
  expect(await heading('Hello')).toBe(document.activeElement);
  expect(document.title).toBe(`Hello · ${SITE}`);
  expect(await screen.findByText('Welcome.')).toBeTruthy();
});

test('the next page keeps the tag and the order', async () => {
  const asked = serve({
    [`${LIST}?tag=rust&sort=title`]: json({ items: [ARTICLE], next: 'abc' }),
    [`${LIST}?tag=rust&sort=title&cursor=abc`]: json({ items: [{ ...ARTICLE, id: '2', title: 'Second' }] }),
  });
  await open('/?tag=rust&sort=title');
  await userEvent.click(await link('Next page'));
  expect(await link('Second')).toBeTruthy();
  expect(asked.map(({ line }) => line)).toContain(`${LIST}?tag=rust&sort=title&cursor=abc`);
});

test('what the service objects to stands beside its field, and nothing typed is lost', async () => {
  const asked = serve({
    'POST /api/v1/articles': problem(422, 'Some values are not valid', {
      errors: [
        { pointer: '/title', detail: 'must be 1 to 120 characters long' },
        { pointer: '/tags', detail: 'must be words' },
      ],
    }),
  });
  await open('/write');
  await userEvent.type(await screen.findByLabelText('Text'), 'Some text');
  await userEvent.type(screen.getByLabelText('Tags'), 'a b, c');
  await userEvent.click(await button('Save'));
  const summary = await screen.findByRole('alert');
  await waitFor(() => expect(document.activeElement).toBe(summary));
  const title = screen.getByLabelText('Title');
  expect(title.getAttribute('aria-invalid')).toBe('true');
  expect(document.getElementById(title.getAttribute('aria-describedby') ?? '')?.textContent).toBe(
    'Title must be 1 to 120 characters long.',
  );
  expect(screen.getByLabelText<HTMLTextAreaElement>('Text').value).toBe('Some text');
  expect(asked.at(-1)?.body).toEqual({ title: '', summary: '', body: 'Some text', tags: ['a b', 'c'], status: 'draft' });
});

test('a new article is shown with a notice, without asking for it again', async () => {
  const asked = serve({ 'POST /api/v1/articles': json(ARTICLE, 201) });
  await open('/write');
  await userEvent.type(await screen.findByLabelText('Title'), 'Hello');
  await userEvent.click(screen.getByLabelText(/Published/));
  await userEvent.click(await button('Save'));
  await heading('Hello');
  expect(screen.getByRole('status').textContent).toBe('“Hello” is saved.');
  expect(asked.map(({ line }) => line)).toEqual(['POST /api/v1/articles']);
  expect(asked[0]?.body).toMatchObject({ title: 'Hello', status: 'published' });
});

test('a change is made to the version that the writer has seen', async () => {
  const asked = serve({
    [ONE]: json(ARTICLE),
    [`PUT ${ITSELF}`]: json({ ...ARTICLE, title: 'Hello again', version: 4 }),
  });
  await open('/articles/hello/edit');
  const title = await screen.findByLabelText<HTMLInputElement>('Title');
  expect(title.value).toBe('Hello');
  await userEvent.type(title, ' again');
  await userEvent.click(await button('Save'));
  await heading('Hello again');
  expect(asked.at(-1)?.line).toBe(`PUT ${ITSELF}`);
  expect(asked.at(-1)?.headers.get('if-match')).toBe('"3"');
});

test('a change that somebody else was faster with is kept in the form', async () => {
  const theirs = { ...ARTICLE, summary: 'Their greeting.', version: 4 };
  const asked = serve({
    [ONE]: json(ARTICLE),
    [`GET ${ITSELF}`]: json(theirs),
    [`PUT ${ITSELF}`]: problem(412, 'It has changed since'),
  });
  await open('/articles/hello/edit');
  await userEvent.type(await screen.findByLabelText('Title'), '!');
  await userEvent.click(await button('Save'));
  expect((await screen.findByRole('alert')).textContent).toContain('Somebody has changed this article');
  expect(await screen.findByText('Their greeting.')).toBeTruthy();
  expect(screen.getByLabelText<HTMLInputElement>('Title').value).toBe('Hello!');
  await userEvent.click(await button('Save'));
  expect(asked.filter(({ line }) => line.startsWith('PUT')).map(({ headers }) => headers.get('if-match'))).toEqual([
    '"3"',
    '"4"',
  ]);
});

test('an article is deleted after a question', async () => {
  const asked = serve({
    [ONE]: json(ARTICLE),
    [`DELETE ${ITSELF}`]: () => new Response(null, { status: 204 }),
    [LIST]: json({ items: [] }),
  });
  await open('/articles/hello');
  await userEvent.click(await button('Delete…'));
  expect(asked.map(({ line }) => line)).toEqual([ONE]);
  await userEvent.click(await button('Delete it'));
  await heading('Articles');
  expect(asked[1]?.headers.get('if-match')).toBe('"3"');
  expect(screen.getByRole('status').textContent).toBe('“Hello” is deleted.');
});

test('a missing article says so and offers no second try', async () => {
  serve({ [ONE]: problem(404, 'Not found') });
  await open('/articles/hello');
  await heading('Not found');
  expect(screen.queryByRole('button', { name: 'Try again' })).toBeNull();
});

test('without the network a page says so, and is there after another try', async () => {
  serve({});
  await open('/');
  await heading('The service cannot be reached');
  serve({ [LIST]: json({ items: [ARTICLE] }) });
  await userEvent.click(await button('Try again'));
  expect(await link('Hello')).toBeTruthy();
});

test('back online, a page that failed comes by itself', async () => {
  serve({});
  await open('/');
  await heading('The service cannot be reached');
  serve({ [LIST]: json({ items: [ARTICLE] }) });
  dispatchEvent(new Event('online'));
  expect(await link('Hello')).toBeTruthy();
});

test('an address that is no page is not found', async () => {
  serve({ [ONE]: json(ARTICLE) });
  await open('/nowhere');
  await heading('Not found');
  await open('/articles/hello/nowhere');
  await heading('Not found');
});

// What can be asked and told about articles; answers go through the store, under the address they come from.

import { answerTo, api } from '../api/client';
import type { components, operations } from '../api/schema';
import { changed, foresee, useAnswer } from '../store';

export type Article = components['schemas']['ArticleDocument'];
export type ArticleBody = components['schemas']['ArticleBody'];
export type ArticleSummary = components['schemas']['ArticleSummary'];
export type ListQuery = NonNullable<operations['list_articles']['parameters']['query']>;

export function useArticles(query: ListQuery) {
  const words = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
  const key = words.size === 0 ? '/api/v1/articles' : `/api/v1/articles?${words}`;
  return useAnswer(key, () => answerTo(api.GET('/api/v1/articles', { params: { query } })));
}

export function useArticle(slug: string) {
  return useAnswer(keyOf(slug), () => ask(slug));
}

/** A pointer on its link usually means that an article will be read. */
export function foreseeArticle(slug: string): void {
  foresee(keyOf(slug), () => ask(slug));
}

/** The article as it is stored, past the store of this page. */
export function readArticle(id: string): Promise<Article> {
  return answerTo(api.GET('/api/v1/articles/{id}', { params: { path: { id } } }));
}

export async function createArticle(body: ArticleBody): Promise<Article> {
  const article = await answerTo(api.POST('/api/v1/articles', { body }));
  changed({ [keyOf(article.slug)]: article });
  return article;
}

/** Replaces the content of `seen`, unless somebody has changed the article since it looked like that. */
export async function updateArticle(seen: Article, body: ArticleBody): Promise<Article> {
  const article = await answerTo(api.PUT('/api/v1/articles/{id}', { params: unlessChanged(seen), body }));
  changed({ [keyOf(article.slug)]: article });
  return article;
}

/** Deletes `seen`, unless somebody has changed the article since it looked like that. */
export async function deleteArticle(seen: Article): Promise<void> {
  await answerTo(api.DELETE('/api/v1/articles/{id}', { params: unlessChanged(seen) }));
  changed();
}

const keyOf = (slug: string) => `/api/v1/articles/by-slug/${slug}`;

const ask = (slug: string) => answerTo(api.GET('/api/v1/articles/by-slug/{slug}', { params: { path: { slug } } }));

/** The entity tag of an article is its version. */
const unlessChanged = ({ id, version }: Article) => ({ path: { id }, header: { 'If-Match': `"${version}"` } });

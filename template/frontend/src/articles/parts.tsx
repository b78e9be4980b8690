// The pieces article pages share: dates, the tag list, the entry in a list.

import { foreseeArticle, type ArticleSummary } from './api';

const FORMAT = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeZone: 'UTC' });

/** When it was published or, while it is a draft, made. */
export const dateOf = (article: ArticleSummary) => article.published_at ?? article.created_at;

export function Day({ at }: { at: string }) {
  return <time dateTime={at}>{FORMAT.format(new Date(at))}</time>;
}

export function TagList({ tags }: { tags: string[] }) {
  if (tags.length === 0) return null;
  return (
    <ul class="tags" role="list" aria-label="Tags">
      {tags.map((tag) => (
        <li key={tag}><a href={`/?tag=${tag}`} rel="tag"><bdi>{tag}</bdi></a></li>
      ))}
    </ul>
  );
}

export function Card({ article }: { article: ArticleSummary }) {
  const isWanted = () => foreseeArticle(article.slug);
  return (
    <article class="entry">
      <h2 dir="auto">
        <a href={`/articles/${article.slug}`} onPointerEnter={isWanted} onFocus={isWanted}>{article.title}</a>
      </h2>
      <p dir="auto">{article.summary}</p>
      <TagList tags={article.tags} />
      <Day at={dateOf(article)} />
    </article>
  );
}

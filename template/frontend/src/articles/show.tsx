// One article, and what its writers can do with it.

import { Heading } from '../parts/heading';
import type { Article } from './api';
import { DeleteButton } from './delete';
import { Day, TagList, dateOf } from './parts';

export function ArticlePage({ article }: { article: Article }) {
  const published = dateOf(article);
  // A change on the day of publication is not worth a line.
  const isUpdated = article.updated_at.slice(0, 10) > published.slice(0, 10);
  return (
    <>
      <article class="article">
        <header class="opening">
          <Heading title={article.title} dir="auto" />
          <p class="standfirst" dir="auto">{article.summary}</p>
        </header>
        <div class="particulars">
          <p>{article.status === 'draft' && 'Draft of '}<Day at={published} /></p>
          {isUpdated && <p>Updated <Day at={article.updated_at} /></p>}
          <TagList tags={article.tags} />
        </div>
        {/* The service has sanitised it. */}
        <div class="prose" dir="auto" dangerouslySetInnerHTML={{ __html: article.body_html }} />
      </article>
      <nav class="pager" aria-label="More articles">
        <a href="/">All articles</a>
        <a href={`/articles/${article.slug}/edit`}>Edit this article</a>
        <DeleteButton article={article} />
      </nav>
    </>
  );
}

// The lists of articles: what is published, all of it or with one tag, and the drafts.

import { useLocation } from 'preact-iso';
import { Failed, Waiting } from '../parts/failed';
import { Heading, SITE } from '../parts/heading';
import { useArticles, type ListQuery } from './api';
import { Card } from './parts';

type Sort = NonNullable<ListQuery['sort']>;

const SORTS: readonly Sort[] = ['newest', 'oldest', 'title'];

export function Published() {
  return <List />;
}

export function Drafts() {
  return <List status="draft" />;
}

function List({ status }: { status?: 'draft' }) {
  const { path, query: { tag, sort, cursor } } = useLocation();
  const { value, failure, again } = useArticles({
    ...(status && { status }),
    ...(tag && { tag }),
    ...(sort && { sort: sort as Sort }),
    ...(cursor && { cursor }),
  });
  /** This list, with other words in its address. */
  const at = (words: Record<string, string | undefined>) => {
    const given = Object.entries({ tag, sort, ...words }).filter(([, word]) => word !== undefined);
    return given.length === 0 ? path : `${path}?${new URLSearchParams(given as [string, string][])}`;
  };

  if (failure) return <Failed failure={failure} again={again} />;
  const name = status ? 'Drafts' : tag ? `Tagged ${tag}` : 'Articles';
  return (
    <>
      <header class="opening">
        <Heading title={name === 'Articles' ? SITE : name}>
          {tag && !status ? <>Tagged <bdi class="accent">{tag}</bdi></> : name}
        </Heading>
        <nav class="orders" aria-label="Order">
          {SORTS.map((order) => (
            <a
              key={order}
              href={at({ sort: order === 'newest' ? undefined : order })}
              aria-current={order === (sort ?? 'newest') ? 'true' : undefined}
            >
              {order === 'title' ? 'By title' : `${capitalised(order)} first`}
            </a>
          ))}
        </nav>
      </header>
      {!value ? <Waiting /> : value.items.length === 0 ? <Empty /> : (
        <ul class="feed" role="list">
          {value.items.map((article) => <li key={article.id}><Card article={article} /></li>)}
        </ul>
      )}
      {(tag || cursor || value?.next) && (
        <nav class="pager" aria-label="More articles">
          {tag && <a href={path}>All articles</a>}
          {cursor && <a href={at({})}>First page</a>}
          {value?.next && <a href={at({ cursor: value.next })} rel="next">Next page</a>}
        </nav>
      )}
    </>
  );
}

function Empty() {
  return (
    <div class="prose">
      <p>There is nothing here yet. <a href="/write">Write an article</a>, or add some samples from the project’s folder:</p>
      <pre><code>cargo run -- seed</code></pre>
    </div>
  );
}

const capitalised = (word: string) => word.charAt(0).toUpperCase() + word.slice(1);

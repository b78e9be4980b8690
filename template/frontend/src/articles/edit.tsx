// The page that changes an article.

import { useLocation } from 'preact-iso';
import { useState } from 'preact/hooks';
import { announce } from '../notice';
import { Heading } from '../parts/heading';
import { updateArticle, type Article, type ArticleBody } from './api';
import { ArticleForm } from './form';

export default function Edit({ article }: { article: Article }) {
  const { route } = useLocation();
  // What the writer has before them, whatever is read in the meantime.
  const [seen] = useState(article);
  const save = async (body: ArticleBody) => {
    const { slug, title } = await updateArticle(seen, body);
    const address = `/articles/${slug}`;
    announce(`“${title}” is saved.`, address);
    route(address, true);
  };
  return (
    <>
      <header class="opening">
        <Heading title={`Edit “${seen.title}”`}>Edit <bdi class="accent">{seen.title}</bdi></Heading>
      </header>
      <ArticleForm article={seen} save={save} cancel={`/articles/${seen.slug}`} />
    </>
  );
}

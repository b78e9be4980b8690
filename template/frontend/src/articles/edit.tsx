// The page that changes an article.

import { useLocation } from 'preact-iso';
import { useState } from 'preact/hooks';
import { Failure } from '../api/client';
import { announce } from '../notice';
import { Heading } from '../parts/heading';
import { readArticle, updateArticle, type Article, type ArticleBody } from './api';
import { ArticleForm } from './form';

export default function Edit({ article }: { article: Article }) {
  const { route } = useLocation();
  // What the writer has opened, whatever is read in the meantime.
  const [opened] = useState(article);
  const [theirs, setTheirs] = useState<Article>();

  const save = async (body: ArticleBody) => {
    try {
      const { slug, title } = await updateArticle(theirs ?? opened, body);
      const address = `/articles/${slug}`;
      announce(`“${title}” is saved.`, address);
      route(address, true);
    } catch (error) {
      if (error instanceof Failure && error.problem?.status === 412) setTheirs(await readArticle(opened.id));
      throw error;
    }
  };

  return (
    <>
      <header class="opening"><Heading title={`Edit “${opened.title}”`} dir="auto" /></header>
      <ArticleForm article={opened} theirs={theirs} save={save} back={`/articles/${opened.slug}`} />
    </>
  );
}

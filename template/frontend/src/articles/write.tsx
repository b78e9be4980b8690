// The page for a new article.

import { useLocation } from 'preact-iso';
import { announce } from '../notice';
import { Heading } from '../parts/heading';
import { createArticle, type ArticleBody } from './api';
import { ArticleForm } from './form';

export default function Write() {
  const { route } = useLocation();
  const save = async (body: ArticleBody) => {
    const { slug, title } = await createArticle(body);
    const address = `/articles/${slug}`;
    announce(`“${title}” is saved.`, address);
    route(address);
  };
  return (
    <>
      <header class="opening"><Heading title="New article" /></header>
      <ArticleForm save={save} back="/" />
    </>
  );
}

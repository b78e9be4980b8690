// Everything below `/articles/{slug}`: the article is read once, for the pages inside.

import { Route, Router, useRoute } from 'preact-iso';
import { Failed, NotFound, Waiting } from '../parts/failed';
import { later } from '../parts/later';
import { useArticle } from './api';
import { ArticlePage } from './show';

const Edit = later(() => import('./edit'));

export function ArticleSection() {
  const { slug = '' } = useRoute().params;
  const { value, failure, again } = useArticle(slug);
  if (failure) return <Failed failure={failure} again={again} />;
  if (!value) return <Waiting />;
  return (
    <Router>
      <Route path="/" component={ArticlePage} article={value} />
      <Route path="/edit" component={Edit} article={value} />
      <Route default component={NotFound} />
    </Router>
  );
}

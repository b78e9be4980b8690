// The form for an article. The service knows the rules; each of its objections is shown beside the field it is about.

import { useRef, useState } from 'preact/hooks';
import { Failure } from '../api/client';
import { Field } from '../parts/field';
import type { Article, ArticleBody } from './api';

interface Props {
  /** What the fields hold at first. */
  article?: Article;
  save: (body: ArticleBody) => Promise<void>;
  /** Where to go without saving. */
  cancel: string;
}

export function ArticleForm({ article, save, cancel }: Props) {
  const [failure, setFailure] = useState<Failure>();
  const [isBusy, setBusy] = useState(false);
  const summary = useRef<HTMLDivElement>(null);

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (isBusy) return;
    setBusy(true);
    try {
      await save(bodyOf(event.currentTarget as HTMLFormElement));
    } catch (error) {
      setFailure(error instanceof Failure ? error : new Failure(undefined, error));
      setBusy(false);
      // Once it says what is wrong.
      requestAnimationFrame(() => summary.current?.focus());
    }
  };

  const errors = failure?.problem?.errors ?? [];
  const wrong = (name: keyof ArticleBody) =>
    errors.find(({ pointer }) => pointer === `/${name}` || pointer.startsWith(`/${name}/`))?.detail;

  return (
    <form class="form" noValidate aria-label="Article" onSubmit={(event) => void submit(event)}>
      {failure && (
        <div class="summary" role="alert" tabIndex={-1} ref={summary}>
          <h2>{failure.message}</h2>
          {failure.problem?.detail && <p>{failure.problem.detail}</p>}
          {failure.problem?.status === 412 && (
            <p>Copy what you want to keep, then open <a href={cancel}>the article as it is now</a>.</p>
          )}
          {!failure.problem && <p>Nothing is lost: check the connection, then save again.</p>}
          <ul>
            {errors.map(({ pointer, detail }) => {
              const name = pointer.split('/')[1] ?? '';
              return <li key={pointer}><a href={`#${name}`}>{name} {detail}</a></li>;
            })}
          </ul>
        </div>
      )}
      <Field name="title" label="Title" value={article?.title} error={wrong('title')} required autocomplete="off" />
      <Field name="summary" label="Summary" value={article?.summary} error={wrong('summary')} rows={2}
        hint="A sentence or two, for the list." />
      <Field name="body" label="Text" value={article?.body} error={wrong('body')} rows={16} hint="Markdown." />
      <Field name="tags" label="Tags" value={article?.tags.join(', ')} error={wrong('tags')} autocomplete="off"
        hint="With commas between them." />
      <Field name="slug" label="Address" value={article?.slug} error={wrong('slug')} autocomplete="off"
        hint="Made from the title when left empty." />
      <label class="choice">
        <input type="checkbox" name="published" defaultChecked={article?.status === 'published'} />
        Published: everybody can read it
      </label>
      <p class="actions">
        <button type="submit" aria-disabled={isBusy}>{isBusy ? 'Saving…' : 'Save'}</button>
        <a href={cancel}>Cancel</a>
      </p>
    </form>
  );
}

function bodyOf(form: HTMLFormElement): ArticleBody {
  const fields = new FormData(form);
  const text = (name: string) => String(fields.get(name) ?? '');
  const slug = text('slug').trim();
  return {
    title: text('title'),
    summary: text('summary'),
    body: text('body'),
    tags: text('tags').split(',').map((tag) => tag.trim()).filter(Boolean),
    status: fields.has('published') ? 'published' : 'draft',
    ...(slug && { slug }),
  };
}

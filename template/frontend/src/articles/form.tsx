// The form for an article. The service knows the rules; each of its objections is shown beside the field it is about.{% capture body %}

import { useLayoutEffect, useRef, useState } from 'preact/hooks'; //~{% if features contains "auth" %}
import { SignInFirst } from '../account/first'; //~{% endif %}
import { Failure } from '../api/client';
import { Choice, TextField } from '../parts/field';
import type { Article, ArticleBody } from './api';

interface Props {
  /** What the fields hold at first. */
  article?: Article;
  /** What the article says now, if somebody else has changed it since. */
  theirs?: Article | undefined;
  save: (body: ArticleBody) => Promise<void>;
  /** Where to go without saving. */
  back: string;
}

const STATUSES = [
  ['draft', 'Draft, for writers only'],
  ['published', 'Published, for everybody'],
] as const;

/** In the order of the form. */
const LABELS: Record<string, string> = {
  title: 'Title', slug: 'Address', summary: 'Summary', body: 'Text', tags: 'Tags', status: 'Status',
};

export function ArticleForm({ article, theirs, save, back }: Props) {
  const [failure, setFailure] = useState<Failure>();
  const [isBusy, setBusy] = useState(false);

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (isBusy) return;
    setBusy(true);
    try {
      await save(bodyOf(event.currentTarget as HTMLFormElement));
    } catch (error) {
      setFailure(error instanceof Failure ? error : new Failure(undefined, error));
      setBusy(false);
    }
  };

  const field = (name: keyof ArticleBody) => {
    const [first, now] = [valueOf(article, name), valueOf(theirs, name)];
    return {
      name,
      label: LABELS[name] ?? name,
      value: first,
      error: failure?.problem?.errors?.find(({ pointer }) => fieldOf(pointer) === name)?.detail,
      theirs: now === first ? undefined : now,
    };
  };

  return (
    <>
      {failure && <Warning failure={failure} key={failure} />}
      <form class="form" noValidate aria-label="Article" onSubmit={(event) => void submit(event)}>
        <TextField {...field('title')} required autocomplete="off" />
        <TextField {...field('slug')} autocomplete="off" hint="Made from the title when left empty." />
        <TextField {...field('summary')} rows={3} hint="One or two sentences, for the list." />
        <TextField {...field('body')} rows={18} long hint="In Markdown." />
        <TextField {...field('tags')} autocomplete="off" hint="With commas between them." />
        <Choice {...field('status')} value={article?.status ?? 'draft'} options={STATUSES} />
        <div class="actions">
          <button type="submit" aria-disabled={isBusy}>{isBusy ? 'Saving…' : 'Save'}</button>
          <a href={back}>Cancel</a>
        </div>
      </form>
    </>
  );
}

/** Why it is not saved. It takes the focus, so that nobody has to look for it. */
function Warning({ failure }: { failure: Failure }) {
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => box.current?.focus(), []);
  const { status, detail, errors = [] } = failure.problem ?? {}; //~{% if features contains "auth" %}
  if (status === 401) return <SignInFirst box={box} />; //~{% endif %}
  const order = Object.keys(LABELS);
  const sorted = errors.toSorted((a, b) => order.indexOf(fieldOf(a.pointer)) - order.indexOf(fieldOf(b.pointer)));
  if (status === 412) {
    return (
      <div class="warning" role="alert" tabIndex={-1} ref={box}>
        <h2>Somebody has changed this article since you opened it</h2>
        <p>
          Nothing you wrote is lost. It stands below, with what the article says now beside each value they changed. Save
          again to put yours in its place.
        </p>
      </div>
    );
  }
  return (
    <div class="warning" role="alert" tabIndex={-1} ref={box}>
      <h2>Not saved yet</h2>
      {errors.length === 0 && <p>{failure.message}. {detail ?? (status ? '' : 'Check the connection, then save again.')}</p>}
      <ul>
        {sorted.map(({ pointer, detail }) => (
          <li key={pointer}><a href={`#${fieldOf(pointer)}`}>{LABELS[fieldOf(pointer)]} {detail}</a></li>
        ))}
      </ul>
    </div>
  );
}

/** `tags` of `/tags/1` (RFC 6901). */
const fieldOf = (pointer: string) => pointer.split('/')[1] ?? '';

function valueOf(article: Article | undefined, name: keyof ArticleBody): string | undefined {
  return name === 'tags' ? article?.tags.join(', ') : article?.[name];
}

function bodyOf(form: HTMLFormElement): ArticleBody {
  const fields = new FormData(form);
  const text = (name: keyof ArticleBody) => String(fields.get(name) ?? '');
  const slug = text('slug').trim();
  return {
    title: text('title'),
    summary: text('summary'),
    body: text('body'),
    tags: text('tags').split(',').map((tag) => tag.trim()).filter(Boolean),
    status: text('status') === 'published' ? 'published' : 'draft',
    ...(slug && { slug }),
  };
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}

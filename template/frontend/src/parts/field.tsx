// The pieces forms are made of: what belongs to a field, and the fields themselves.

import type { ComponentChildren } from 'preact';

interface Props {
  name: string;
  label: string;
  value: string | undefined;
  hint?: string;
  /** What is wrong with it. */
  error: string | undefined;
  /** What somebody else has made of it in the meantime. */
  theirs: string | undefined;
}

/** Fields for one line, or with `rows` for several. */
export function TextField({ rows, long, isSecret, inputMode, required, autocomplete, ...field }: Props & {
  rows?: number;
  long?: boolean;
  required?: boolean;
  /** Not to be read over a shoulder. */
  isSecret?: boolean;
  inputMode?: 'email';
  autocomplete?: 'off' | 'username' | 'current-password';
}) {
  const given = { ...attributes(field), defaultValue: field.value ?? '', dir: 'auto', required, autocomplete, inputMode } as const;
  return (
    <div class={field.error ? 'field wrong' : 'field'}>
      <label for={field.name}>{field.label}</label>
      <Explained {...field}>
        {rows && <textarea rows={rows} class={long ? 'long' : undefined} {...given} />}
        {!rows && (isSecret ? <input {...given} type="password" /> : <input {...given} />)}
      </Explained>
    </div>
  );
}

/** One of a few values. */
export function Choice({ options, ...field }: Props & { options: readonly (readonly [value: string, label: string])[] }) {
  const { id, name, ...described } = attributes(field);
  return (
    <fieldset class={field.error ? 'field wrong' : 'field'} {...described}>
      <legend>{field.label}</legend>
      <Explained {...field}>
        {options.map(([value, label], at) => (
          <label class="option" key={value}>
            <input
              type="radio" id={at === 0 ? id : undefined} name={name} value={value} defaultChecked={value === field.value}
            />
            {label}
          </label>
        ))}
      </Explained>
    </fieldset>
  );
}

function Explained({ name, label, hint, error, theirs, children }: Props & { children: ComponentChildren }) {
  return (
    <>
      {hint && <p class="hint" id={`${name}-hint`}>{hint}</p>}
      {error && <p class="error" id={`${name}-error`}>{label} {error}.</p>}
      {children}
      {theirs !== undefined && (
        <div class="theirs" id={`${name}-theirs`}>
          <p>It is now:</p>
          <pre tabIndex={0}>{theirs}</pre>
        </div>
      )}
    </>
  );
}

function attributes({ name, hint, error, theirs }: Props) {
  const described = [hint && `${name}-hint`, error && `${name}-error`, theirs !== undefined && `${name}-theirs`];
  return {
    id: name,
    name,
    'aria-invalid': error ? true : undefined,
    'aria-describedby': described.filter(Boolean).join(' ') || undefined,
  };
}

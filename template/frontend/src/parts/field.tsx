// One labelled field of a form, with its hint and what is wrong with it.

interface Props {
  name: string;
  label: string;
  value: string | undefined;
  hint?: string;
  error: string | undefined;
  required?: boolean;
  autocomplete?: string;
  /** Makes it a field for several lines. */
  rows?: number;
}

export function Field({ name, label, value = '', hint, error, rows, ...rest }: Props) {
  const described = [hint && `${name}-hint`, error && `${name}-error`].filter(Boolean).join(' ');
  const given = {
    id: name,
    name,
    defaultValue: value,
    'aria-invalid': Boolean(error),
    ...(described && { 'aria-describedby': described }),
    ...rest,
  };
  return (
    <p class="field">
      <label for={name}>{label}</label>
      {hint && <span class="fine" id={`${name}-hint`}>{hint}</span>}
      {error && <span class="wrong" id={`${name}-error`}>{error}</span>}
      {rows ? <textarea rows={rows} dir="auto" {...given} /> : <input dir="auto" {...given} />}
    </p>
  );
}

// What has been read from the service, kept by address: a page that is visited again is there at once, and then renewed.

import { batch, signal, type Signal } from '@preact/signals';
import { useLayoutEffect, useMemo } from 'preact/hooks';
import { Failure } from './api/client';

/** What is known of an answer; while there is neither a value nor a failure it is on its way. */
interface State<T> {
  value?: T;
  failure?: Failure;
}

interface Entry {
  state: Signal<State<unknown>>;
  loadedAt: number;
  /** The request whose answer counts: the last one. */
  request: symbol | undefined;
}

/** So long an answer is shown without asking again. */
const FRESH_FOR_MS = 5_000;

const entries = new Map<string, Entry>();

function entryOf(key: string): Entry {
  let entry = entries.get(key);
  if (!entry) {
    entry = { state: signal({}), loadedAt: -Infinity, request: undefined };
    entries.set(key, entry);
  }
  return entry;
}

async function load(entry: Entry, ask: () => Promise<unknown>): Promise<void> {
  const request = Symbol();
  entry.request = request;
  const state = await ask().then(
    (value) => ({ value }),
    (failure: unknown) => ({ failure: failure instanceof Failure ? failure : new Failure(undefined, failure) }),
  );
  if (entry.request !== request) return;
  // A value that could not be renewed is better than none, but not than the news that it is gone.
  const isStillGood = 'failure' in state && !state.failure.problem && 'value' in entry.state.value;
  entry.loadedAt = isStillGood ? -Infinity : performance.now();
  if (!isStillGood) entry.state.value = state;
}

const isFresh = (entry: Entry) => performance.now() - entry.loadedAt < FRESH_FOR_MS;

/** The answer at `key`, asked for with `ask` unless it is fresh. The component that uses it follows its changes. */
export function useAnswer<T>(key: string, ask: () => Promise<T>): State<T> & { again: () => void } {
  const entry = useMemo(() => entryOf(key), [key]);
  useLayoutEffect(() => {
    if (!isFresh(entry)) void load(entry, ask);
  }, [entry]);
  const again = () => {
    entry.state.value = {};
    void load(entry, ask);
  };
  return { ...(entry.state.value as State<T>), again };
}

/** Asks for what will probably be wanted next. */
export function foresee(key: string, ask: () => Promise<unknown>): void {
  const entry = entryOf(key);
  if (!isFresh(entry) && !entry.request) void load(entry, ask);
}

/** After a change: forgets every answer but those in `known`. */
export function changed(known: Record<string, unknown> = {}): void {
  batch(() => {
    for (const [key, entry] of entries) {
      entry.request = undefined;
      entry.loadedAt = -Infinity;
      if (!(key in known)) entry.state.value = {};
    }
    remember(known);
  });
}

function remember(known: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(known)) {
    const entry = entryOf(key);
    entry.state.value = { value };
    entry.loadedAt = performance.now();
  }
}

/** The service writes the answers that the page will ask for into the page. */
export function takeSentData(page: Document): void {
  const sent = page.getElementById('data')?.textContent;
  if (sent) remember(JSON.parse(sent) as Record<string, unknown>);
}

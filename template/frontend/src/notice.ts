// The sentence that tells a writer what has been done.

import { signal } from '@preact/signals';

export const notice = signal<{ text: string; at: string }>();

/** Shows `text` on the page `at` this address, and on no other. */
export function announce(text: string, at: string): void {
  notice.value = { text, at };
}

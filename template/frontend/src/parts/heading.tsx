// The heading of a page, which is also where a visitor arrives: title, focus and scroll position follow it.

import type { ComponentChildren } from 'preact';
import { useLocation } from 'preact-iso';
import { useLayoutEffect, useRef } from 'preact/hooks';

/** The name in the header, and the title of the front page. */
export const SITE = import.meta.env.VITE_SITE as string;

/** The address whose heading was last arrived at; the browser itself took care of the first. */
let arrivedAt = here();

/** Going back, the browser puts the page where it was. */
let isReturning = false;
addEventListener('popstate', () => (isReturning = here() !== arrivedAt));

function here(): string {
  return location.pathname + location.search;
}

interface Props {
  /** For the browser's tab; the site's name is added. */
  title: string;
  children?: ComponentChildren;
  dir?: 'auto';
}

export function Heading({ title, children = title, dir }: Props) {
  const { url } = useLocation();
  const heading = useRef<HTMLHeadingElement>(null);
  useLayoutEffect(() => {
    document.title = title === SITE ? SITE : `${title} · ${SITE}`;
  }, [title]);
  useLayoutEffect(() => {
    if (url === arrivedAt) return;
    arrivedAt = url;
    heading.current?.focus({ preventScroll: true });
    if (!isReturning) scrollTo(0, 0);
    isReturning = false;
  }, [url]);
  return <h1 ref={heading} tabIndex={-1} dir={dir}>{children}</h1>;
}

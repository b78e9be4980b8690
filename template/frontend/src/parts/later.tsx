// Pages whose code is loaded when they are first visited.

import { lazy } from 'preact-iso';
import type { ComponentType } from 'preact';
import { Failure } from '../api/client';
import { Failed } from './failed';

/**
 * The page that `load` imports. If it cannot be had, a page that says so takes its place: the network is gone, or a new
 * release has replaced the file, and either way loading the whole site again is what helps.
 */
export function later<Props>(load: () => Promise<{ default: ComponentType<Props> }>): ComponentType<Props> {
  return lazy(() => load().catch((cause: unknown) => ({ default: () => <Unavailable cause={cause} /> })));
}

function Unavailable({ cause }: { cause: unknown }) {
  return <Failed failure={new Failure(undefined, cause)} again={() => location.reload()} />;
}

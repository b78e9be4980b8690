// The service's API, with the types of its OpenAPI document (`npm run api` renews them).

import createClient from 'openapi-fetch';
import type { components, paths } from './schema';

type Problem = components['schemas']['Problem'];

export const api = createClient<paths>({
  headers: { accept: 'application/json' },
  fetch: (request) => fetch(request),
});

/** The least that is known of a problem. */
type Said = Pick<Problem, 'status' | 'title'> & Partial<Problem>;

/** Why a request did not get what it asked for. */
export class Failure extends Error {
  /** What the service says about it; without one there was no answer that can be read. */
  readonly problem: Said | undefined;

  constructor(problem?: Said, cause?: unknown) {
    super(problem?.title ?? 'The service cannot be reached', { cause });
    this.problem = problem;
  }
}

/** What `request` brings, or a `Failure`. */
export async function answerTo<T>(request: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await request.catch((cause: unknown) => {
    throw new Failure(undefined, cause);
  });
  if (!response.ok) throw new Failure(isProblem(error) ? error : undefined);
  return data as T;
}

/** A proxy on the way may answer in its own words. */
function isProblem(error: unknown): error is Problem {
  return typeof error === 'object' && error !== null && 'title' in error && 'status' in error;
}

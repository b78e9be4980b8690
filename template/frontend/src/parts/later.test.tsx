// Pages whose code does not come.

import { screen } from '@testing-library/dom';
import { ErrorBoundary, LocationProvider, Route, Router } from 'preact-iso';
import { expect, test } from 'vitest';
import { show } from '../test';
import { later } from './later';

test('a page whose code cannot be had says so and offers another try', async () => {
  const Lost = later<object>(() => Promise.reject(new TypeError('Failed to fetch dynamically imported module')));
  await show(
    <LocationProvider>
      <ErrorBoundary>
        <Router>
          <Route path="/lost" component={Lost} />
          <Route default component={Lost} />
        </Router>
      </ErrorBoundary>
    </LocationProvider>,
  );
  await screen.findByRole('heading', { name: 'The service cannot be reached' });
  expect(screen.getByRole('button', { name: 'Try again' })).toBeTruthy();
});

// How the application is built, tested, and served while it is worked on.

import { readFileSync } from 'node:fs';
import preact from '@preact/preset-vite';
import { defineConfig } from 'vitest/config';

const cargo = readFileSync(new URL('../Cargo.toml', import.meta.url), 'utf8');
// The site is called what the service is called: `%VITE_SITE%` in HTML, `import.meta.env.VITE_SITE` in code.
process.env['VITE_SITE'] = /^name = "([^"]+)"/m.exec(cargo)?.[1] ?? 'Site';

const service = `http://127.0.0.1:${process.env['PORT'] ?? 8080}`;

export default defineConfig({
  plugins: [preact()],
  build: {
    // A `data:` address would be in everyone's first download, and the content security policy forbids most of them.
    assetsInlineLimit: 0,
    // Every browser that understands this code has it.
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: { '/api': service, '/health': service },
    // `../assets` has the stylesheet.
    fs: { allow: ['..'] },
  },
  test: {
    environment: 'happy-dom',
    restoreMocks: true,
  },
});

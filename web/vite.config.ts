// The build of the console: files with relative links and hashed names. Nothing is inlined, for the content security
// policy allows scripts, styles and fonts of the page's own origin only.

import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

const page = dirname(fileURLToPath(import.meta.url))

export default defineConfig({
  root: page,
  base: './',
  publicDir: false,
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    target: 'es2024',
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    // The set-up is quiet, on a busy machine too.
    rolldownOptions: { checks: { pluginTimings: false } },
  },
})

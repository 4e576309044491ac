// The build of the console and of the lab: files with relative links and hashed names. Nothing is inlined, for the
// content security policy allows scripts, styles and fonts of the page's own origin only.

import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig, type Plugin } from 'vite'
import { wrongRafts } from '../jepsen-lite/wrong-rules/bundler-plugin.ts'
import { decisionCode } from './decision-code.ts'
import { operationFacts } from './operation-facts.ts'

const page = dirname(fileURLToPath(import.meta.url))
/** Modules of Node that have a substitute in the lab. */
const SUBSTITUTES = ['crypto', 'module', 'zlib']

const substitutes: Plugin = {
  name: 'node-modules',
  enforce: 'pre',
  resolveId(name, importer = '') {
    if (!name.startsWith('node:')) return undefined
    const module = name.slice('node:'.length)
    if (SUBSTITUTES.includes(module)) return join(page, `src/lab/node/${module}.ts`)
    throw new Error(`${relative(dirname(page), importer)} imports ${name}, which no page has`)
  },
}

export default defineConfig({
  root: page,
  base: './',
  publicDir: false,
  plugins: [substitutes, wrongRafts(), decisionCode(dirname(page))],
  worker: { format: 'es', plugins: () => [substitutes, wrongRafts(), operationFacts(dirname(page))] },
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

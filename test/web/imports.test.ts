// The console runs in a browser. It shares the descriptions of operations with the nodes, and nothing else. The order
// of its folders is that of test/project/purity.test.ts.

import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'
import { parseAst } from 'vitest/node'

const root = join(import.meta.dirname, '../..')
/** The worker of the lab runs the code of nodes (lab/imports.test.ts). */
const WORKER = /^web\/src\/lab\/(worker\.ts|lab-answers\.ts|node\/)/
const SOURCES = globSync('web/src/**/*.{ts,tsx}', { cwd: root }).filter((path) => !WORKER.test(path))

const PACKAGES = /^(preact(\/hooks)?|@preact\/signals|diff|uplot(\/.*\.css)?|virtual:decision-code)$/
const SHARED =
  /^src\/(operations|bytes)\/|^jepsen-lite\/(lab\/(captions|view|fold-views|link-moment|lessons\/(facts|lesson|vocabulary))|sim\/wrong-rules)\.ts$/

function offences(file: string): string[] {
  const code = readFileSync(join(root, file), 'utf8')
  return importedModules(parseAst(code, { lang: 'tsx' }))
    .filter((name) => !isAllowed(file, name))
    .map((name) => `${file} imports ${name}`)
}

/** The modules that imports and re-exports of any form name; '' for a name that is computed. */
function importedModules(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  const source = 'source' in value ? value.source : undefined
  const isNamed = typeof source === 'object' && source !== null && 'value' in source
  const own = typeof source !== 'object' || source === null ? [] : [isNamed ? String(source.value) : '']
  return [...own, ...Object.values(value).flatMap(importedModules)]
}

function isAllowed(file: string, name: string): boolean {
  if (!name.startsWith('.')) return PACKAGES.test(name)
  const path = normalize(join(dirname(file), name))
  return SHARED.test(path) || path.startsWith('web/src/')
}

test('the console imports only what a browser has', () => {
  expect(SOURCES).toContain('web/src/main.tsx')
  expect(SOURCES.flatMap(offences)).toEqual([])
})

// The console runs in a browser. It shares the descriptions of operations with the nodes, and nothing else.

import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'
import { parseAst } from 'vitest/node'

const root = join(import.meta.dirname, '../..')
const SOURCES = globSync('web/src/**/*.{ts,tsx}', { cwd: root })

const PACKAGES = /^(preact(\/hooks)?|@preact\/signals|diff|uplot(\/.*\.css)?)$/
const SHARED = /^src\/(operations|bytes)\//
/** The folders of web/src, each with those that it may import besides itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  design: [],
  cluster: ['design'],
  app: ['design', 'cluster', 'pages'],
  pages: ['design', 'cluster', 'app'],
}

const folderOf = (path: string): string => path.split('/')[2] ?? ''

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
  if (SHARED.test(path)) return true
  // The entry of the console and the page of the parts stand over the folders.
  if (file === 'web/src/main.tsx' || file === 'web/src/design/showcase.tsx')
    return path.startsWith('web/src/')
  const from = folderOf(file)
  return path.startsWith('web/src/') && [from, ...(MAY_IMPORT[from] ?? [])].includes(folderOf(path))
}

test('the console imports only what a browser has', () => {
  expect(SOURCES).toContain('web/src/main.tsx')
  expect(SOURCES.flatMap(offences)).toEqual([])
})

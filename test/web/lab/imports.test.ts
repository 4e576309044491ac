// The page of the lab runs the shipped core, driver, store and links, and the simulator around them. All that its
// worker loads exists in a browser too. A module of Node is allowed only where the page has a substitute.

import { globSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { expect, it, test } from 'vitest'
import { parseAst } from 'vitest/node'

const root = join(import.meta.dirname, '../../..')
const SUBSTITUTES = globSync('web/src/lab/node/*.ts', { cwd: root }).map(
  (path) => `node:${basename(path, '.ts')}`,
)
const PACKAGES = new Set(['@noble/hashes/sha2.js', 'buffer/index.js', 'msgpackr'])

/** Each module that is loaded with `entry`, and the one that imports it first. */
function loadedWith(entry: string): ReadonlyMap<string, string | undefined> {
  const importers = new Map<string, string | undefined>([[join(root, entry), undefined]])
  for (const file of importers.keys())
    for (const name of importedBy(readFileSync(file, 'utf8'))) {
      const path = name.startsWith('.') ? join(dirname(file), name) : name
      if (!importers.has(path) && name.startsWith('.')) importers.set(path, file)
    }
  return importers
}

/** The modules that code imports when it runs: imports of types alone are left out. */
function importedBy(code: string): string[] {
  return parseAst(code, { lang: 'ts' }).body.flatMap((node) => {
    if (!('source' in node) || node.source === null) return []
    const isType =
      ('importKind' in node && node.importKind === 'type') ||
      ('exportKind' in node && node.exportKind === 'type')
    return isType ? [] : [String(node.source.value)]
  })
}

function offences(entry: string): string[] {
  const importers = loadedWith(entry)
  const chain = (file: string | undefined): string[] =>
    file === undefined ? [] : [relative(root, file), ...chain(importers.get(file))]
  return [...importers.keys()].flatMap((file) =>
    importedBy(readFileSync(file, 'utf8'))
      .filter((name) => !name.startsWith('.') && !SUBSTITUTES.includes(name) && !PACKAGES.has(name))
      .map((name) => `${chain(file).join(' ← ')} imports ${name}`),
  )
}

test('the worker of the lab loads only what a browser has', () => {
  expect([...loadedWith('web/src/lab/worker.ts').keys()]).toContain(join(root, 'src/raft/raft.ts'))
  expect(offences('web/src/lab/worker.ts')).toEqual([])
})

it('names the import that is at fault, and how it is reached', () => {
  expect(offences('src/storage/directory.ts')).toContain(
    'src/storage/open.ts ← src/storage/directory.ts imports node:fs',
  )
})

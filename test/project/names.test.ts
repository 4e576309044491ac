// One name means one thing: no two exported types, interfaces, classes or enums share a name. And a comment names no
// file that is gone.

import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const FILES = globSync('{src,jepsen-lite,web/src}/**/*.{ts,tsx}', { cwd: root }).sort()

const DECLARATION = /^export (?:declare )?(?:abstract )?(?:interface|type|class|enum) (\w+)/gm

/** The messages of etcd's API have the names of its definition. */
const ETCD_MESSAGES = 'src/etcd/messages/'

/** The files that declare each name. An alias for the type of another file (`export type { … }`) declares none. */
function declarations(): ReadonlyMap<string, readonly string[]> {
  const files = new Map<string, string[]>()
  for (const path of FILES)
    for (const [, name = ''] of readFileSync(join(root, path), 'utf8').matchAll(DECLARATION))
      files.set(name, [...(files.get(name) ?? []), path])
  return files
}

const isOwn = (file: string): boolean => !file.startsWith(ETCD_MESSAGES)

/** Two entry points of the package export it to users: `quorate` and `quorate/recipes`. */
const PUBLIC = new Set(['WaitOptions'])

test('no two exported types share a name', () => {
  const shared = [...declarations()].filter(([name, files]) => {
    const [own, etcds] = [files.filter(isOwn), files.filter((file) => !isOwn(file))]
    return (own.length > 1 && !PUBLIC.has(name)) || etcds.length > 1
  })
  expect(FILES).toEqual(expect.arrayContaining(['src/raft/raft.ts', 'web/src/app/app.tsx']))
  expect(FILES.length).toBeGreaterThan(400)
  expect(Object.fromEntries(shared)).toEqual({})
})

test('every TypeScript file that a comment or a page names is there', () => {
  const pages = globSync('{*.md,{bench,deploy,docs,jepsen-lite,src,test,web}/**/*.md}', { cwd: root })
  const code = globSync('{*.ts,{bench,docs,jepsen-lite,scripts,src,test,web}/**/*.{ts,tsx,mjs}}', {
    cwd: root,
  })
  const known = new Set([...code, 'counter.test.ts'].map((path) => basename(path)))
  const gone = [...pages, ...code].flatMap((path) =>
    proseLines(path).flatMap((line) =>
      [...line.matchAll(FILE)]
        .filter(([name]) => !known.has(basename(name)))
        .map(([name]) => `${path}: ${name}`),
    ),
  )
  expect(known.size).toBeGreaterThan(800)
  expect(gone).toEqual([])
})

/** Not `*.test.ts`, a pattern. */
const FILE = /(?<![\w*./}-])(?:[\w.-]+\/)*[\w-]+(?:\.[\w-]+)*\.tsx?\b/g

function proseLines(path: string): string[] {
  const lines = readFileSync(join(root, path), 'utf8').split('\n')
  return path.endsWith('.md') ? lines : lines.filter((line) => /^\s*(\/\/|\/?\*)/.test(line))
}

// docs/architecture.md names files and folders: each of them exists. The folders of the tests are those of the source.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8')

const TOPS = ['src', 'web', 'test', 'docs', 'jepsen-lite', 'bench', 'scripts', 'bin']
const paths = TOPS.flatMap((top) => [
  `/${top}`,
  ...readdirSync(join(root, top), { recursive: true, encoding: 'utf8' }).map(
    (path) => `/${top}/${path.split(sep).join('/')}`,
  ),
])

/** `driver.ts`, `transport/` and `server/http` are the ends of paths. `*.prop.test.ts` is the end of a name. */
const exists = (name: string): boolean => {
  const end = name.startsWith('*') ? name.slice(1) : `/${name.replace(/\/$/, '')}`
  return paths.some((path) => path.endsWith(end))
}

test('every file and folder that the page names exists', () => {
  const words = [...page.matchAll(/`([^`\n]+)`/g)].map(([, word = '']) => word)
  const folders = new RegExp(`^(${TOPS.join('|')})(/|$)|/$`)
  const named = words.filter(
    (word) => /^[\w*./-]+$/.test(word) && (folders.test(word) || /\.\w*tsx?$/.test(word)),
  )
  expect(named.length).toBeGreaterThan(50)
  expect(named.filter((name) => !exists(name))).toEqual([])
})

/** Folders of tests whose subject is no folder of the source. */
const OWN_FOLDERS = ['project', 'versions', 'server/cost', 'jepsen-lite/testing/guide']

test('the tests of a folder stand in the folder of the same name', () => {
  const folders = paths
    .filter((path) => /^\/test\/.*\.test\.ts$/.test(path))
    .map((path) => path.slice('/test/'.length, path.lastIndexOf('/')))
  const hasSource = (folder: string): boolean =>
    ['src', '.'].some((top) => existsSync(join(root, top, folder.replace(/^web\//, 'web/src/'))))
  const strays = new Set(folders.filter((folder) => !hasSource(folder)))
  expect([...strays].sort()).toEqual([...OWN_FOLDERS].sort())
})

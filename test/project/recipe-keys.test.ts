// The keys of the recipes, which the reference promises to programs that read them.

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

const keysIn = (text: string, pattern: RegExp): string[] =>
  [...text.matchAll(pattern)].map(([, key = '']) => key).toSorted()

test('the reference has the keys that the heads of the recipes have', () => {
  const heads = globSync('src/recipes/*.ts', { cwd: root }).map(
    (path) => read(path).split('\n\nimport')[0] ?? '',
  )
  const written = keysIn(heads.join('\n'), /^\/\/(?: Keys?:)? +([a-z]+\/(?:NAME|SERVICE)\/\S*) /gm)
  const [, section = ''] = read('docs/reference/recipes.md').split('\n## Keys\n')
  const promised = keysIn(section.split('\n## ')[0] ?? '', /(?<=^\| |, )`([a-z]+\/NAME\/[^`]*)`/gm)
  expect(written.length).toBeGreaterThan(15)
  expect(promised).toEqual(written.map((key) => key.replace('/SERVICE/', '/NAME/')).toSorted())
})

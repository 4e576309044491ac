// docs/reference/security.md names tests: each of them exists.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

test('each fault of etcd has a test that exists, by its name', () => {
  const rows = read('docs/reference/security.md').match(/^\| (?:CVE|GHSA|etcd#).*$/gm) ?? []
  expect(rows).toHaveLength(15)
  const broken = rows.filter((row) => {
    const links = [...row.matchAll(/\[([^\]]+)\]\(\.\.\/\.\.\/(test\/[^)]+)\)/g)]
    return links.length === 0 || links.some(([, name = '', path = '']) => !read(path).includes(`'${name}'`))
  })
  expect(broken).toEqual([])
})

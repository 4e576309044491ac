// The size of the lab as the set-up has built it: what a browser loads from a host that compresses.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'

const PAGE = join(import.meta.dirname, '../../../web/dist-lab')
const BYTES_MAX = 400_000

test('the page has at most 400 kB compressed, with all lessons and wrong rules', () => {
  const files = readdirSync(PAGE, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  const sizes = files.map(
    ({ parentPath, name }) => gzipSync(readFileSync(join(parentPath, name)), { level: 9 }).length,
  )
  expect(files.map(({ name }) => name)).toContain('index.html')
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(BYTES_MAX)
})

// Documents that are laid out.

import { expect, test } from 'vitest'
import { layOutDocument } from '../../web/src/pages/keys/json-text.ts'

test('a deep document of 100 KB is not laid out as 100 MB', () => {
  const deep = `${'['.repeat(1_000)}${'1,'.repeat(50_000)}1${']'.repeat(1_000)}`
  expect(layOutDocument(deep).length).toBeLessThan(10_000_000)
})

// The layouts of 0.1.0 stay as they are. A change of one needs a new version number, without which two nodes of
// different versions would misread each other (CONTRIBUTING.md, "Change a format").

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { modulesOf } from './checkout.ts'
import { changed } from './layout-changes.ts'
import { type Layouts, layoutsOf } from './layouts.ts'

const ROOT = join(import.meta.dirname, '../..')

const recorded = (version: string): Layouts =>
  JSON.parse(readFileSync(join(import.meta.dirname, 'testdata', version, 'layouts.json'), 'utf8'))

test('no layout of 0.1.0 has changed without its version number', async () => {
  expect(changed(recorded('0.1.0'), layoutsOf(await modulesOf(ROOT)))).toEqual([])
})

const before: Layouts = {
  versions: { format: 2, protocol: 2, cluster: 1 },
  stored: { meta: '00' },
  sent: { hello: '00' },
  known: { 'kinds of requests': [16, 17], 'frames between nodes': [1] },
}

test.each<[string, Partial<Layouts>, string]>([
  ['a row', { stored: { meta: '01' } }, 'meta: raise FORMAT_VERSION'],
  ['a frame', { sent: { hello: '01' } }, 'hello: raise PROTOCOL_VERSION'],
  [
    'a kind of entry',
    { known: { ...before.known, 'kinds of requests': [16, 17, 18] } },
    'kinds of requests: 18 is new: raise CLUSTER_VERSION',
  ],
  [
    'a kind that is gone',
    { known: { ...before.known, 'kinds of requests': [17] } },
    'kinds of requests: 16 is gone: raise FORMAT_VERSION',
  ],
  [
    'a kind of frame',
    { known: { ...before.known, 'frames between nodes': [1, 2] } },
    'frames between nodes: 2 is new: raise CLUSTER_VERSION',
  ],
])('%s that has changed is named with the number to raise', (_, change, text) => {
  expect(changed(before, { ...before, ...change })).toEqual([text])
  const raised = { format: 3, protocol: 3, cluster: 2 }
  expect(changed(before, { ...before, ...change, versions: raised })).toEqual([])
})

// Pages of the tree, while other programs write and delete keys between two requests.

import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { encodeUtf8, utf8Text } from '../../src/bytes/index.ts'
import { runs } from '../runs.ts'
import { answer, stubPage } from './fake-node.ts'
import { load } from './page-modules.ts'

interface Children {
  readonly children: readonly { readonly kind: string; readonly name: Uint8Array }[]
  readonly next: Uint8Array | undefined
}
type ReadChildren = (
  prefix: Uint8Array,
  from: Uint8Array,
  signal: AbortSignal,
  options: { readonly max: number; readonly show: (part: Children) => void },
) => Promise<Children>

const node = stubPage()
let readChildren: ReadChildren
beforeAll(async () => {
  ;({ readChildren } = await load<{ readChildren: ReadChildren }>('pages/keys/children.ts'))
})

/** Keys in the order of their bytes, which is that of these letters. */
const key = fc
  .array(fc.constantFrom('a', 'b', '/'), { minLength: 1, maxLength: 5 })
  .map((letters) => letters.join(''))
const keys = fc.uniqueArray(key, { maxLength: 60 })

/** Returns the child of the root of the tree that stands for a key. */
const childOf = (text: string): string => (text.includes('/') ? text.slice(0, text.indexOf('/') + 1) : text)

/** Limits on the keys of an answer: a node may send fewer than it was asked for. */
const PAGES = fc.integer({ min: 1, max: 12 })

test('what was there all the time is listed once, and what never was is not', async () => {
  await fc.assert(
    fc.asyncProperty(
      keys,
      keys,
      PAGES,
      fc.integer({ min: 1, max: 8 }),
      async (stable, passing, page, max) => {
        let requests = 0
        node.serve = ({ path }) => {
          const { searchParams } = new URL(path, 'http://n1')
          const start = searchParams.get('start') ?? ''
          // Every second request sees the other keys too.
          const now = new Set(requests++ % 2 === 0 ? stable : [...stable, ...passing])
          const found = [...now].sort().filter((each) => each >= start)
          const count = Math.min(page, Number(searchParams.get('limit')))
          const kvs = found
            .slice(0, count)
            .map((each) => ({ key: each, version: 1, create_revision: 1, mod_revision: 1 }))
          const more = found.length > count
          return answer({ revision: 1, kvs, more, ...(more && { next: kvs.at(-1)?.key }) })
        }
        const listed: string[] = []
        const shown: number[] = []
        let next: Uint8Array | undefined = new Uint8Array()
        while (next !== undefined) {
          const found: Children = await readChildren(new Uint8Array(), next, new AbortController().signal, {
            max,
            show: ({ children }) => shown.push(children.length),
          })
          expect(found.children.length).toBeLessThanOrEqual(max)
          listed.push(...found.children.map(({ name }) => utf8Text(name) ?? ''))
          next = found.next
        }
        expect(listed).toEqual([...new Set(listed)].sort())
        expect(listed).toEqual(expect.arrayContaining([...new Set(stable.map(childOf))]))
        const known = new Set([...stable, ...passing].map(childOf))
        expect(listed.filter((each) => !known.has(each))).toEqual([])
      },
    ),
    { numRuns: runs(200) },
  )
})

test('a key with the name of a folder stands beside it', async () => {
  node.serve = () =>
    answer({
      ...{ revision: 1, more: false },
      kvs: ['a', 'a/', 'a/b', 'a0'].map((each) => ({
        ...{ key: each, version: 1, create_revision: 1, mod_revision: 1 },
      })),
    })
  const { children } = await readChildren(encodeUtf8(''), encodeUtf8(''), new AbortController().signal, {
    ...{ max: 10, show: () => {} },
  })
  expect(children.map(({ kind, name }) => `${kind} ${utf8Text(name)}`)).toEqual([
    'key a',
    'folder a/',
    'key a0',
  ])
})

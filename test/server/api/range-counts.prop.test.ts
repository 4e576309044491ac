// The number of keys that a page states, whether it was counted or follows from a page before: clients that read ranges
// in pages, now or at a revision, and requests for single counts, among changes and compactions.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type KeyRange, keyAfter, type Revision } from '../../../src/operations/forms/index.ts'
import { Api } from '../../../src/server/api/api.ts'
import { apiLimits } from '../../../src/server/api/limits.ts'
import { deleteOf, putOf } from '../../kv/store.ts'
import { runs } from '../../runs.ts'
import { FakeNode } from '../http/fake-node.ts'
import { readCount, readPage } from './pages.ts'

const KEYS = [...'abcdefgh']
const CLIENTS = 3

const bound = fc.option(fc.constantFrom('', '\0', 'a', 'c', 'c\0', 'f', 'i'), { nil: undefined })
const range = fc.record({ start: bound.map((start) => start ?? ''), end: bound })

interface Listing {
  readonly start: string
  readonly end: string | undefined
  readonly order: 'asc' | 'desc'
  readonly limit: number
  /** All pages are read at the revision of the first one. */
  readonly isPinned: boolean
  /** Each page is one of the whole range, after the last key of the page before. */
  readonly isWhole: boolean
}

const listing: fc.Arbitrary<Listing> = fc
  .tuple(
    range,
    fc.constantFrom('asc' as const, 'desc' as const),
    fc.integer({ min: 1, max: 4 }),
    ...[fc.boolean(), fc.boolean()],
  )
  .map(([bounds, order, limit, isPinned, isWhole]) => ({ ...bounds, order, limit, isPinned, isWhole }))

const change = fc.record({
  kind: fc.constant('change' as const),
  key: fc.constantFrom(...KEYS),
  isDelete: fc.boolean(),
})

const step = fc.oneof(
  { weight: 4, arbitrary: change },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('page' as const),
      client: fc.nat(CLIENTS - 1),
      listing,
      // Made while the page is read.
      changes: fc.array(change, { maxLength: 2 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      ...{ kind: fc.constant('count' as const), range, back: fc.nat(6) },
      isByReader: fc.boolean(),
      // Its client leaves after so many slices.
      leavesAfter: fc.option(fc.nat(2), { nil: undefined }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('compact' as const), back: fc.nat(8) }) },
)

const toRange = ({ start, end }: { readonly start: string; readonly end: string | undefined }): KeyRange => ({
  start: Buffer.from(start),
  end: end === undefined ? undefined : Buffer.from(end),
})

/** A store, and what it has had at each revision. */
class Written {
  readonly node = new FakeNode()
  readonly at = new Map<number, readonly string[]>()
  #now: readonly string[] = []

  constructor() {
    this.at.set(this.node.revision, this.#now)
  }

  change(key: string, isDelete: boolean): void {
    this.node.apply(isDelete ? deleteOf(key) : putOf(key, 'v'))
    const others = this.#now.filter((each) => each !== key)
    this.#now = isDelete ? others : [...others, key]
    this.at.set(this.node.revision, this.#now)
  }

  count({ start, end }: KeyRange, revision: number): number {
    const isIn = (key: string): boolean => {
      const bytes = Buffer.from(key)
      return Buffer.compare(bytes, start) >= 0 && (end === undefined || Buffer.compare(bytes, end) < 0)
    }
    return this.at.get(revision)?.filter(isIn).length ?? Number.NaN
  }

  /** A revision up to the newest one, perhaps a compacted one. */
  back(revisions: number): Revision {
    return Math.max(1, this.node.revision - revisions) as Revision
  }
}

/** A client that reads a range in pages. */
class Lister {
  readonly #listing: Listing
  #range: KeyRange
  #after: Uint8Array | undefined
  #revision: Revision | undefined
  isOver = false

  constructor(of: Listing) {
    this.#listing = of
    this.#range = toRange(of)
  }

  async next(api: Api, written: Written): Promise<void> {
    const { order, limit, isPinned, isWhole } = this.#listing
    const range = this.#range
    const request = { range, after: this.#after, order, limit, count: true, revision: this.#revision }
    const page = await readPage(api, request)
    this.isOver = page === 'compacted' || !page.more || page.keys.length === 0
    if (page === 'compacted') return
    const at = this.#revision ?? page.revision
    expect(page.count).toBe(written.count(range, at))
    if (isPinned) this.#revision = at
    const last = page.keys.at(-1)
    if (last === undefined) return
    const behind = order === 'asc' ? { ...range, start: keyAfter(last) } : { ...range, end: last }
    if (!isWhole) {
      this.#range = behind
      return
    }
    this.#after = last
    // Nobody has counted these keys, but the page may have taught the node their number.
    const rest = await readPage(api, { range: behind, countOnly: true, revision: at })
    if (rest !== 'compacted') expect(rest.count).toBe(written.count(behind, at))
  }
}

test('the count of each page is that of its revision', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
      const written = new Written()
      const { node } = written
      const limits = { ...apiLimits, sliceRowsMax: 2, sliceKeysMax: 2 }
      const api = new Api({ node, limits, version: '', failed: (error) => expect.fail(error.message) })
      const listers: (Lister | undefined)[] = []
      for (const each of steps) {
        if (each.kind === 'change') written.change(each.key, each.isDelete)
        else if (each.kind === 'compact') node.apply({ kind: 'compact', revision: written.back(each.back) })
        else if (each.kind === 'count') {
          const revision = written.back(each.back)
          const counted = toRange(each.range)
          const { isByReader, leavesAfter = Number.POSITIVE_INFINITY } = each
          let slices = 0
          node.onSlice = () => void slices++
          const request = { range: counted, countOnly: true, revision }
          const hasLeft = (): boolean => slices > leavesAfter
          let page = await (isByReader ? readCount : readPage)(api, request, undefined, hasLeft)
          node.onSlice = undefined
          // The next client waits for its answer.
          if (hasLeft()) page = await readPage(api, request)
          if (page !== 'compacted') expect(page.count).toBe(written.count(counted, revision))
        } else {
          const { client, changes } = each
          const left = [...changes]
          node.onSlice = () => {
            const next = left.shift()
            if (next !== undefined) written.change(next.key, next.isDelete)
          }
          const lister = listers[client] ?? new Lister(each.listing)
          await lister.next(api, written)
          listers[client] = lister.isOver ? undefined : lister
          node.onSlice = undefined
        }
      }
      await node.scansClosed()
    }),
    { numRuns: runs(400) },
  )
})

// Layers over the engine against a plain list of entries: the rows that a read finds, the rows that a scan holds, the
// content of a batch, and the part of it that is kept.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { asIndex } from '../../src/raft/types.ts'
import { hashOfKey } from '../../src/storage/key-hash.ts'
import { type Layer, mergeLayers, Overlay, type Submission } from '../../src/storage/overlay.ts'
import type { AppliedState } from '../../src/storage/records.ts'
import { Row, TRAILER_BYTES } from '../../src/storage/rows.ts'
import { runs } from '../runs.ts'
import { applied, bytes } from './samples.ts'

type Step =
  /** An entry with these rows: number of the key, and size; without a size the row is deleted. */
  | { readonly do: 'apply'; readonly rows: readonly (readonly [key: number, size: number | undefined])[] }
  | { readonly do: 'freeze' }
  | { readonly do: 'submit'; readonly bytes: number; readonly items: number; readonly back: number }
  | { readonly do: 'submit all' }
  | { readonly do: 'stored' }

const KEYS = 8
const LAYER_MAX = { bytes: 40, items: 4 }
/** For 16 layers. */
const BATCH_MAX = { bytes: 16 * LAYER_MAX.bytes, items: 16 * LAYER_MAX.items }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('apply' as const),
      rows: fc.array(
        fc.tuple(
          fc.nat(KEYS - 1),
          fc.option(fc.integer({ min: TRAILER_BYTES, max: 30 }), { nil: undefined }),
        ),
        { maxLength: 5 },
      ),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ do: 'freeze' as const }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('submit' as const),
      bytes: fc.nat(150),
      items: fc.nat(12),
      back: fc.nat(4),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'submit all' as const }) },
  { weight: 3, arbitrary: fc.constant({ do: 'stored' as const }) },
)

/** Index of the entry, and its rows, in order. */
interface Applied {
  readonly index: number
  readonly rows: readonly (readonly [key: string, row: Row])[]
}

const KEY = Buffer.from('k')
const nameOf = ({ key }: Row): string => Buffer.from(key).toString()
const get = (from: Overlay | Layer, name: string): Row | undefined =>
  from.get(bytes(name), hashOfKey(bytes(name)))
/** A row with a prefix of one byte. `size`: of the stored form; undefined: deleted. */
const rowOfSize = (name: string, size: number | undefined): Row =>
  new Row(
    KEY,
    bytes(name),
    hashOfKey(bytes(name)),
    size === undefined ? undefined : new Uint8Array(size - TRAILER_BYTES),
  )

const sizeOf = ({ engineKey, stored }: Row): number => engineKey.length + (stored?.length ?? 0)

/** The newest version of each row. */
const newest = (list: readonly Applied[]): Map<string, Row> => new Map(list.flatMap(({ rows }) => rows))

const inOrder = (rows: Iterable<Row>): Row[] => [...rows].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))

class Model {
  readonly #overlay = new Overlay(BATCH_MAX)
  #index = 1
  /** Not in any batch. */
  #waiting: Applied[] = []
  /** In batches that are not durable yet, oldest first. */
  #submitted: { readonly entries: readonly Applied[]; readonly submission: Submission }[] = []

  run(now: Step): void {
    switch (now.do) {
      case 'apply':
        this.#apply(now.rows)
        break
      case 'freeze': {
        const frozen = this.#overlay.freeze(() => this.#state())
        expectSame(mergeLayers(frozen), newest(this.#all()).values())
        for (const [key, row] of newest(this.#all())) expect(get(mergeLayers(frozen), key)).toBe(row)
        expect(get(mergeLayers(frozen), 'not there')).toBeUndefined()
        break
      }
      case 'submit':
        this.#submit(now.bytes, now.items, Math.max(0, this.#index - now.back))
        break
      case 'submit all': {
        const submission = this.#overlay.submitAll()
        expect({ ...submission, stored: undefined }).toEqual({
          rows: [],
          state: undefined,
          left: false,
          stored: undefined,
        })
        this.check()
        submission.stored()
        this.#submitted = []
        this.#waiting = []
        break
      }
      case 'stored':
        this.#submitted.shift()?.submission.stored()
    }
  }

  check(): void {
    const expected = newest(this.#all())
    for (let key = 0; key < KEYS; key++)
      expect(get(this.#overlay, `${key}`), `key ${key}`).toBe(expected.get(`${key}`))
  }

  #all(): readonly Applied[] {
    return [...this.#submitted.flatMap(({ entries }) => entries), ...this.#waiting]
  }

  #state(): AppliedState {
    return { applied: applied(this.#index, 1), stateHash: BigInt(this.#index) }
  }

  #apply(list: readonly (readonly [number, number | undefined])[]): void {
    const rows = list.map(([key, size]): [string, Row] => [`${key}`, rowOfSize(`${key}`, size)])
    const bytes = rows.reduce((sum, [, row]) => sum + sizeOf(row), 0)
    this.#overlay.makeRoom({ bytes, items: rows.length }, () => this.#state())
    this.#index++
    for (const [, row] of rows) this.#overlay.put(row)
    this.#waiting.push({ index: this.#index, rows })
  }

  #submit(bytes: number, items: number, upTo: number): void {
    const submission = this.#overlay.submit({ bytes, items }, asIndex(upTo), this.#state())
    const { rows, state, left } = submission
    const index = state?.applied.index ?? 0
    const taken = this.#waiting.filter((entry) => entry.index <= index)
    expectSame(rows, newest(taken).values())
    expect(state?.stateHash).toBe(state === undefined ? undefined : BigInt(index))
    expect(index).toBeLessThanOrEqual(upTo)
    this.#expectWithin(taken, { bytes, items })
    this.#waiting = this.#waiting.slice(taken.length)
    this.#submitted.push({ entries: taken, submission })
    if (!left && upTo >= this.#index) expect(this.#waiting).toEqual([])
  }

  /** The first layer is always taken. It holds one entry, or at most what a layer may hold. */
  #expectWithin(taken: readonly Applied[], room: { readonly bytes: number; readonly items: number }): void {
    const rows = taken.flatMap((entry) => entry.rows.map(([, row]) => row))
    const bytes = rows.reduce((sum, row) => sum + sizeOf(row), 0)
    const distinct = newest(taken).size
    const entriesWithRows = taken.filter((entry) => entry.rows.length > 0).length
    if (entriesWithRows <= 1) return
    const most = {
      bytes: Math.max(room.bytes, LAYER_MAX.bytes),
      items: Math.max(room.items, LAYER_MAX.items),
    }
    expect(bytes, `${distinct} rows`).toBeLessThanOrEqual(most.bytes)
    expect(distinct).toBeLessThanOrEqual(most.items)
  }
}

function expectSame(rows: Iterable<Row>, expected: Iterable<Row>): void {
  const [found, wanted] = [inOrder(rows), inOrder(expected)]
  expect(found.map(nameOf)).toEqual(wanted.map(nameOf))
  for (const [at, row] of found.entries()) expect(row).toBe(wanted[at])
}

test('reads, views and batches have the newest rows, and batches no more than they have room for', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const model = new Model()
      for (const now of steps) {
        model.run(now)
        model.check()
      }
    }),
    { numRuns: runs(1000) },
  )
})

// Transactions against a second, simple implementation on a map.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeRequest } from '../../src/kv/codec/request.ts'
import { asRevision, type KeyRange, type Where } from '../../src/operations/forms/index.ts'
import type { KvComparison, KvTxn, KvTxnOperation, KvTxnOperationResult } from '../../src/operations/index.ts'
import { runs } from '../runs.ts'
import { ask, bodyOf, MemoryStore, utf8 } from './store.ts'

interface Row {
  readonly value: string
  readonly create: number
  readonly mod: number
  readonly version: number
}
type State = ReadonlyMap<string, Row>

const KEYS = ['a', 'ab', 'a\0', 'b', 'c']
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()

const key = fc.constantFrom(...KEYS)
const range: fc.Arbitrary<KeyRange> = fc.record({
  start: fc.constantFrom('', ...KEYS).map(utf8),
  end: fc.option(key.map(utf8), { nil: undefined }),
})
const where: fc.Arbitrary<Where> = fc.oneof(
  key.map((name) => ({ key: utf8(name) })),
  range,
)
const comparison: fc.Arbitrary<KvComparison> = fc.oneof(
  fc.record({
    where,
    op: fc.constantFrom('=', '!=', '<', '>'),
    target: fc.constant('value' as const),
    to: fc.constantFrom('', 'x', 'y').map(utf8),
  }),
  fc.record({
    where,
    op: fc.constantFrom('=', '!=', '<', '>'),
    target: fc.constantFrom('version' as const, 'create_revision' as const, 'mod_revision' as const),
    to: fc.nat(8),
  }),
  fc.record({
    where,
    op: fc.constantFrom('=', '!=', '<', '>'),
    target: fc.constant('lease' as const),
    to: fc.constant(undefined),
  }),
)

const { txn } = fc.letrec<{ txn: KvTxn; operation: KvTxnOperation }>((tie) => ({
  txn: fc.record({
    compare: fc.array(comparison, { maxLength: 3 }),
    success: fc.array(tie('operation'), { maxLength: 4 }),
    failure: fc.array(tie('operation'), { maxLength: 3 }),
  }),
  operation: fc.oneof(
    { maxDepth: 2, withCrossShrink: true },
    fc.record({
      kind: fc.constant('put' as const),
      key: key.map(utf8),
      value: fc.constantFrom('', 'x', 'yy').map(utf8),
      prev: fc.boolean(),
    }),
    fc.record({
      kind: fc.constant('get' as const),
      where,
      limit: fc.option(fc.nat(3), { nil: undefined }),
      keysOnly: fc.boolean(),
      count: fc.boolean(),
      countOnly: fc.boolean(),
    }),
    fc.record({ kind: fc.constant('delete' as const), where, prev: fc.boolean() }),
    fc.record({ kind: fc.constant('txn' as const), txn: tie('txn') }),
  ),
}))

const isAt = (name: string, place: Where): boolean =>
  'key' in place
    ? name === text(place.key)
    : Buffer.compare(Buffer.from(name), place.start) >= 0 &&
      (place.end === undefined || Buffer.compare(Buffer.from(name), place.end) < 0)

const keysAt = (state: State, place: Where): string[] =>
  [...state.keys()]
    .filter((name) => isAt(name, place))
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))

function compares({ op, ...comparison }: KvComparison, row: Row | undefined): boolean {
  let order: number
  if (comparison.target === 'value') {
    if (row === undefined) return false
    order = Buffer.compare(Buffer.from(row.value), comparison.to)
  } else if (comparison.target === 'lease') order = 0
  else {
    const field = { version: 'version', create_revision: 'create', mod_revision: 'mod' } as const
    order = (row?.[field[comparison.target]] ?? 0) - comparison.to
  }
  return { '=': order === 0, '!=': order !== 0, '<': order < 0, '>': order > 0 }[op]
}

const holds = (state: State, each: KvComparison): boolean =>
  'key' in each.where
    ? compares(each, state.get(text(each.where.key)))
    : keysAt(state, each.where).every((name) => compares(each, state.get(name)))

/** The operations of all branches that are taken, decided before anything is changed. */
type Plan = { readonly succeeded: boolean; readonly steps: readonly (KvTxnOperation | Plan)[] }
function plan(state: State, { compare, success, failure }: KvTxn): Plan {
  const succeeded = compare.every((each) => holds(state, each))
  const steps = (succeeded ? success : failure).map((each) =>
    each.kind === 'txn' ? plan(state, each.txn) : each,
  )
  return { succeeded, steps }
}

/** A put of a key that is put, or deleted, elsewhere in the same branch. */
function isDuplicate({ success, failure }: KvTxn): boolean {
  const touched = (operations: readonly KvTxnOperation[], kind: 'put' | 'delete'): Where[] =>
    operations.flatMap((each): Where[] => {
      if (each.kind === 'txn') return [...touched(each.txn.success, kind), ...touched(each.txn.failure, kind)]
      if (each.kind !== kind) return []
      return [each.kind === 'put' ? { key: each.key } : 'where' in each ? each.where : { key: utf8('') }]
    })
  return [success, failure].some((branch) => {
    if (branch.some((each) => each.kind === 'txn' && isDuplicate(each.txn))) return true
    return branch.some((each, at) => {
      const others = branch.filter((_, other) => other !== at)
      return touched([each], 'put').some(
        (put) =>
          'key' in put &&
          [...touched(others, 'put'), ...touched(others, 'delete')].some((other) =>
            isAt(text(put.key), other),
          ),
      )
    })
  })
}

function run(state: Map<string, Row>, { steps }: Plan, revision: number): unknown[] {
  return steps.map((step) => {
    if ('steps' in step) return { succeeded: step.succeeded, results: run(state, step, revision) }
    switch (step.kind) {
      case 'put': {
        const name = text(step.key)
        const before = state.get(name)
        const row = {
          value: text(step.value),
          create: before?.create ?? revision,
          mod: revision,
          version: (before?.version ?? 0) + 1,
        }
        state.set(name, row)
        return { put: [row.create, row.mod, row.version], prev: step.prev ? (before ?? null) : undefined }
      }
      case 'get': {
        const names = keysAt(state, step.where)
        const shown = step.countOnly ? [] : names.slice(0, step.limit ?? names.length)
        const records = shown.map((name) => [name, step.keysOnly ? '' : state.get(name)?.value])
        const count = step.count || step.countOnly ? names.length : undefined
        return { records, more: !step.countOnly && shown.length < names.length, count }
      }
      case 'delete': {
        const names = keysAt(state, step.where)
        const prev = step.prev ? names.map((name) => state.get(name)) : undefined
        for (const name of names) state.delete(name)
        return { deleted: names.length, prev }
      }
      default:
        throw new Error('planned before')
    }
  })
}

const shapeOf = (results: readonly KvTxnOperationResult[]): unknown[] =>
  results.map((result) => {
    switch (result.kind) {
      case 'put':
        return {
          put: [result.createRevision, result.modRevision, result.version],
          prev: result.prev && rowOf(result.prev),
        }
      case 'get':
        return (
          result.found && {
            ...result.found,
            records: result.found.records.map((record) => [text(record.key), text(record.value)]),
          }
        )
      case 'delete':
        return { deleted: result.deleted, prev: result.prev?.map(rowOf) }
      default:
        return { succeeded: result.succeeded, results: shapeOf(result.results) }
    }
  })

interface Kept {
  readonly value: Uint8Array
  readonly createRevision: number
  readonly modRevision: number
  readonly version: number
}
const rowOf = ({ value, createRevision, modRevision, version }: Kept): Row => ({
  value: text(value),
  create: createRevision,
  mod: modRevision,
  version,
})

const content = (store: MemoryStore, at?: number): unknown[] =>
  store.list(at === undefined ? undefined : asRevision(at)).map((record) => [text(record.key), rowOf(record)])
const contentOf = (state: State): unknown[] =>
  keysAt(state, { start: utf8(''), end: undefined }).map((name) => [name, state.get(name)])

test('transactions do what the model does, at one revision, or nothing', () => {
  fc.assert(
    fc.property(fc.array(txn, { maxLength: 12 }), (txns) => {
      const store = new MemoryStore()
      let state: State = new Map()
      for (const each of txns) {
        const request = ask({ kind: 'txn', txn: each })
        expect(decodeRequest(23, 1, bodyOf(request))).toEqual(request)
        const { revision } = store.state
        const { outcome } = store.apply(request)
        if (isDuplicate(each)) {
          expect(outcome).toMatchObject({ kind: 'refused', code: 'duplicate_key' })
        } else {
          const next = new Map(state)
          const planned = plan(state, each)
          const results = run(next, planned, revision + 1)
          if (outcome.kind !== 'txn') throw new Error(outcome.kind)
          expect([outcome.succeeded, shapeOf(outcome.results)]).toEqual([planned.succeeded, results])
          const changed = JSON.stringify(contentOf(next)) !== JSON.stringify(contentOf(state))
          if (changed) expect(content(store, revision)).toEqual(contentOf(state))
          state = next
        }
        expect(content(store)).toEqual(contentOf(state))
        expect(store.state.revision).toBeLessThanOrEqual(revision + 1)
        expect(store.state.keys).toBe(state.size)
      }
    }),
    { numRuns: runs(400) },
  )
})

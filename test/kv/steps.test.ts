// An entry that is applied in steps leaves the same state, rows and outcome as at once, and a step is about one key.

import { describe, expect, test } from 'vitest'
import { applySteps } from '../../src/kv/apply.ts'
import type { Apply, AuthChange, Command } from '../../src/kv/types.ts'
import type { KvTxnOperation } from '../../src/operations/index.ts'
import { ask, MemoryStore, putOf, utf8 } from './store.ts'

const KEYS = 300
const RANGE = { start: utf8('k'), end: utf8('l') }
const keys = Array.from({ length: KEYS }, (_, at) => `k${String(at).padStart(3, '0')}`)
const ofBranch = (...success: KvTxnOperation[]): Command => ({
  kind: 'txn',
  txn: { compare: [], success, failure: [] },
})

const USERS = 50

/** A store with the keys of the range, each with a lease of its own, and with users. */
function filled(): MemoryStore {
  const store = new MemoryStore()
  const commands = keys.map((key) => ({ ...putOf(key, 'v'), prev: false, lease: { ttlMs: 10_000 } }) as const)
  store.apply(ask({ kind: 'batch', commands }))
  const change = (each: AuthChange) => store.apply(ask({ kind: 'auth', ifRevision: undefined, change: each }))
  change({ kind: 'put-role', name: 'app', permissions: [] })
  for (let at = 0; at < USERS; at++)
    change({ kind: 'put-user', name: `user${at}`, passwordHash: 'h', roles: at % 2 === 0 ? ['app'] : [] })
  return store
}

const get = (keysOnly: boolean): KvTxnOperation => ({
  kind: 'get',
  where: RANGE,
  limit: undefined,
  keysOnly,
  count: true,
  countOnly: false,
})
const put: KvTxnOperation = { kind: 'put', key: utf8('k0005'), value: utf8('new'), prev: true }
const deleteWithPrev: KvTxnOperation = { kind: 'delete', where: RANGE, prev: true }

describe('in steps', () => {
  test.each<readonly [string, Command, number]>([
    ['a delete of a range', { kind: 'delete-range', range: RANGE }, KEYS],
    ['a transaction that deletes a range', ofBranch(put, get(true), get(false)), 2 * KEYS],
    ['a transaction with records before', ofBranch(deleteWithPrev, get(false)), 2 * KEYS],
    [
      'comparisons of a range',
      {
        kind: 'txn',
        txn: {
          compare: [{ where: RANGE, op: '=', target: 'value', to: utf8('v') }],
          success: [put],
          failure: [deleteWithPrev],
        },
      },
      2 * KEYS,
    ],
    ['compaction', { kind: 'compact', revision: undefined }, 0],
    [
      'a batch',
      {
        kind: 'batch',
        commands: keys.map((key) => ({ ...putOf(key, 'w'), prev: false, lease: { ttlMs: 5_000 } }) as const),
      },
      KEYS,
    ],
    [
      'the deletion of a role',
      { kind: 'auth', ifRevision: undefined, change: { kind: 'delete-role', name: 'app' } },
      USERS,
    ],
  ])('%s', (_, command, stepsMin) => {
    const [atOnce, inSteps] = [filled(), filled()]
    let steps = 0
    const counted: Apply = (...args) => {
      const each = applySteps(...args)
      for (;;) {
        const next = each.next()
        if (next.done) return next.value
        steps++
      }
    }
    expect(inSteps.apply(ask(command), 0, counted)).toEqual(atOnce.apply(ask(command)))
    expect([...inSteps.rows]).toEqual([...atOnce.rows])
    expect(inSteps.state).toEqual(atOnce.state)
    expect(steps).toBeGreaterThanOrEqual(stepsMin)
  })
})

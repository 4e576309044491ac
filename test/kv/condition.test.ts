import { describe, expect, test } from 'vitest'
import type { Condition } from '../../src/kv/types.ts'
import { ask, deleteOf, MemoryStore, putOf, rev, utf8 } from './store.ts'

/** Whether the condition holds on a missing key, and on a key whose mod_revision is 3. */
const TABLE: readonly (readonly [string, Partial<Condition>, boolean, boolean])[] = [
  ['If-Match: *', { ifMatch: 'any' }, false, true],
  ['If-Match: "3"', { ifMatch: [rev(3)] }, false, true],
  ['If-Match: "2"', { ifMatch: [rev(2)] }, false, false],
  ['If-Match: "2", "3"', { ifMatch: [rev(2), rev(3)] }, false, true],
  ['If-Match of weak tags alone', { ifMatch: [] }, false, false],
  ['If-None-Match: *', { ifNoneMatch: 'any' }, true, false],
  ['If-None-Match: "3"', { ifNoneMatch: [rev(3)] }, true, false],
  ['If-None-Match: "2"', { ifNoneMatch: [rev(2)] }, true, true],
  ['If-None-Match: "2", "3"', { ifNoneMatch: [rev(2), rev(3)] }, true, false],
  ['If-Match: "3" and If-None-Match: "2"', { ifMatch: [rev(3)], ifNoneMatch: [rev(2)] }, false, true],
  ['If-Match: "3" and If-None-Match: "3"', { ifMatch: [rev(3)], ifNoneMatch: [rev(3)] }, false, false],
  ['If-Match: * and If-None-Match: *', { ifMatch: 'any', ifNoneMatch: 'any' }, false, false],
]

const withKeyAtRevision3 = () => {
  const store = new MemoryStore()
  store.apply(ask(putOf('k', 'old')))
  store.apply(ask(putOf('k', 'value')))
  return store
}

describe.each(TABLE)('%s', (_, condition, onMissing, onRevision3) => {
  test.each([
    ['put', putOf('k', 'new', condition)],
    ['delete', deleteOf('k', condition)],
  ] as const)('of a %s, the key missing', (kind, command) => {
    const { outcome, changes } = new MemoryStore().apply(ask(command))
    if (onMissing) expect(outcome.kind).toBe(kind)
    else {
      expect(outcome).toEqual({ kind: 'precondition-failed', revision: 1, current: null })
      expect(changes).toEqual([])
    }
  })

  test.each([
    ['put', putOf('k', 'new', condition)],
    ['delete', deleteOf('k', condition)],
  ] as const)('of a %s, the key at revision 3', (kind, command) => {
    const { outcome, changes } = withKeyAtRevision3().apply(ask(command))
    if (onRevision3) expect(outcome.kind).toBe(kind)
    else {
      const current = { key: utf8('k'), createRevision: 2, modRevision: 3, version: 2 }
      expect(outcome).toEqual({ kind: 'precondition-failed', revision: 3, current })
      expect(changes).toEqual([])
    }
  })
})

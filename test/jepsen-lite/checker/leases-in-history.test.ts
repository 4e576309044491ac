// Leases in a history with a log: for each promise a history in which it is broken, and beside it the nearest one in
// which it is kept.

import { expect, test } from 'vitest'
import { judge } from '../../../jepsen-lite/checker/index.ts'
import type { WatchedEvent, WatchMessage } from '../../../jepsen-lite/checker/watch/index.ts'
import type { AnyOperation, RecordedResult } from '../../../jepsen-lite/workload/history.ts'
import { Story } from './story.ts'

const LEASE = '77'
const TTL_MS = 2_000

/** A lease with two keys, granted at 2 ms. */
class Leased {
  readonly story = new Story({ workload: 'lease', log: 'log', complete: true })
  readonly log: (told: WatchMessage) => void
  readonly #rows = new Map<string, { readonly createRevision: number; readonly version: number }>()
  revision = 1

  constructor() {
    this.log = this.story.watch({ start: '', from: 1, prev: false, values: true })
    this.log({ kind: 'created', revision: 1, from: 2 })
    this.story.tell({ f: 'grant', ttlMs: TTL_MS }, { lease: LEASE, ttlMs: TTL_MS })
    this.put('a', LEASE).put('b', LEASE)
  }

  put(key: string, lease?: string): this {
    this.revision += 1
    const { revision } = this
    const value = `${revision}`
    const op = { f: 'put', key, value, ...(lease !== undefined && { lease }) } as const
    const { createRevision = revision, version: before = 0 } = this.#rows.get(key) ?? {}
    const version = before + 1
    this.#rows.set(key, { createRevision, version })
    this.story.tell(op, { modRevision: revision, version, revision })
    const record = { key, value, createRevision, modRevision: revision, version }
    this.#events([{ key, type: 'put', record: { ...record, ...(lease !== undefined && { lease }) } }])
    return this
  }

  /** An event of the log without a request. */
  gone(...keys: string[]): this {
    this.revision += 1
    this.#events(keys.map((key) => ({ key, type: 'delete' })))
    return this
  }

  keepAlive(isThere: boolean): this {
    this.story.tell({ f: 'keep-alive', lease: LEASE }, isThere ? { ttlMs: TTL_MS } : { applied: false })
    return this
  }

  revoke(...keys: string[]): this {
    const asked = this.story.ask({ f: 'revoke', lease: LEASE })
    this.gone(...keys)
    asked.ok({ removed: keys.length, revision: this.revision })
    return this
  }

  /** Without an answer. */
  deletes(key: string): this {
    this.story.ask({ f: 'del', key }, 'z').unknown()
    return this
  }

  asks(op: AnyOperation, result: RecordedResult): this {
    this.story.tell(op, result, 'y')
    return this
  }

  /** A revoke that is not answered. */
  revokes(): this {
    this.story.ask({ f: 'revoke', lease: LEASE }, 'z').unknown()
    return this
  }

  /** A grant that is not answered. */
  grantsInVain(): this {
    this.story.ask({ f: 'grant', ttlMs: TTL_MS }, 'z').unknown()
    return this
  }

  /** The end of the history. */
  get end(): this {
    const rows = [...this.#rows].map(([key, { createRevision, version }]) => ({
      ...{
        key,
        value: `${createRevision + version - 1}`,
        modRevision: createRevision + version - 1,
        version,
      },
    }))
    this.story.final('n1', this.revision, 'hash', rows)
    return this
  }

  pass(ms: number): this {
    this.story.pass(ms)
    return this
  }

  get calm(): this {
    this.story.note('phase', { phase: 'end' })
    return this
  }

  get found(): string {
    const { verdict, findings } = judge(this.story.history)
    expect(verdict).toBe(findings.length > 0 ? 'violation' : 'pass')
    return findings.map(({ message }) => message).join('\n')
  }

  #events(events: WatchedEvent[]): void {
    this.log({ kind: 'events', revision: this.revision, events })
  }
}

test.each<[string, Leased, string | undefined]>([
  ['it ends when its time is over', new Leased().pass(TTL_MS).gone('a', 'b'), undefined],
  ['it ends before its time', new Leased().pass(TTL_MS - 100).gone('a', 'b'), 'KV-24 early'],
  [
    'its only key is gone, and a delete without an answer may have done that',
    new Leased().put('b').deletes('a').gone('a'),
    undefined,
  ],
  [
    'its only key is gone, and a delete of another has no answer',
    new Leased().put('b').deletes('b').gone('a'),
    'early',
  ],
  ['it is revoked before its time', new Leased().revoke('a', 'b'), undefined],
  [
    'it is kept alive, and ends as if it had not been',
    new Leased()
      .pass(TTL_MS - 500)
      .keepAlive(true)
      .pass(600)
      .gone('a', 'b'),
    'KV-24 early',
  ],
  [
    'it is kept alive, and lives so long',
    new Leased()
      .pass(TTL_MS - 500)
      .keepAlive(true)
      .pass(TTL_MS)
      .gone('a', 'b'),
    undefined,
  ],
  [
    'it leaves a key behind',
    new Leased().pass(TTL_MS).gone('a'),
    'revision 4 (deleted a) was made by no request',
  ],
  [
    'a key that it has no longer goes with it',
    new Leased().put('b').pass(TTL_MS).gone('a', 'b'),
    'revision 5 (deleted a, deleted b) was made by no request',
  ],
  [
    'it takes a key with it that has another',
    new Leased().put('c', '78').pass(TTL_MS).gone('a', 'c'),
    'no request',
  ],
  ['it is revoked, and a key stays', new Leased().revoke('a'), 'has no change of b there'],
  [
    'a key is attached to it after its end',
    new Leased().pass(TTL_MS).gone('a', 'b').put('c', LEASE),
    'KV-23 alive',
  ],
  [
    'a client is told too soon that it has ended',
    new Leased().pass(TTL_MS / 2).keepAlive(false),
    'KV-24 early',
  ],
  ['a client is told so when it has ended', new Leased().pass(TTL_MS).keepAlive(false), undefined],
  ['a client is told so when it was revoked', new Leased().revoke('a', 'b').keepAlive(false), undefined],
  ['it is kept alive after it was revoked', new Leased().revoke('a', 'b').keepAlive(true), 'KV-23 log'],
  [
    'it is there for as long as a new leader may keep it',
    new Leased().calm.pass(TTL_MS + 5_000).gone('a', 'b'),
    undefined,
  ],
  ['it is there long after its time', new Leased().calm.pass(TTL_MS + 11_000).gone('a', 'b'), 'KV-25 late'],
  [
    'it ends before its time, when a client was about to revoke it',
    new Leased().revokes().gone('a', 'b'),
    undefined,
  ],
  [
    'it ends before its time, and a client revokes it later',
    new Leased().gone('a', 'b').pass(TTL_MS).revokes(),
    'KV-24 early',
  ],
  [
    'it ends before its time, and a client that revokes it later is told that it is not there',
    new Leased().gone('a', 'b').pass(TTL_MS).asks({ f: 'revoke', lease: LEASE }, { applied: false }),
    'KV-24 early',
  ],
  [
    'it is kept alive after its end was seen',
    new Leased().pass(TTL_MS).gone('a', 'b').keepAlive(true),
    'KV-23 log: lease 77 exists for operation 5, and the log had reported its end, revision 4',
  ],
  [
    'it is found after its end was seen',
    new Leased().pass(TTL_MS).gone('a', 'b').asks({ f: 'lease', lease: LEASE }, { ttlMs: 1 }),
    'the log had reported its end',
  ],
  [
    'it is not found after its end was seen',
    new Leased().pass(TTL_MS).gone('a', 'b').asks({ f: 'lease', lease: LEASE }, { applied: false }),
    undefined,
  ],
  [
    'it is revoked twice',
    new Leased().revoke('a', 'b').asks({ f: 'revoke', lease: LEASE }, { removed: 0, revision: 4 }),
    'exists for operation 6, and the log had reported its end, revision 4',
  ],
  [
    'it is kept alive between two revokes that both say that they have ended it',
    new Leased()
      .revoke('a', 'b')
      .keepAlive(true)
      .asks({ f: 'revoke', lease: LEASE }, { removed: 0, revision: 4 }),
    'exists for operation 6, and the log had reported its end, revision 4',
  ],
  [
    'a key is attached to it after it was revoked without keys',
    new Leased()
      .put('a')
      .put('b')
      .asks({ f: 'revoke', lease: LEASE }, { removed: 0, revision: 5 })
      .put('c', LEASE),
    'had revoked it',
  ],
  [
    'another one has its id',
    new Leased().asks({ f: 'grant', ttlMs: TTL_MS }, { lease: LEASE, ttlMs: TTL_MS }),
    'was granted by operations',
  ],
  [
    'its keys are there at the end, when its time is over but for what a new leader may add',
    new Leased().calm.pass(TTL_MS + 5_000).end,
    undefined,
  ],
  [
    'its keys are there at the end, long after its time',
    new Leased().calm.pass(TTL_MS + 11_000).end,
    'KV-25 late',
  ],
  ['a key is put under another lease, that nobody has granted', new Leased().put('c', '78'), 'KV-23'],
  [
    'a key is put under another lease, and a grant has no answer',
    new Leased().grantsInVain().put('c', '78'),
    undefined,
  ],
  [
    'it is granted for less time than was asked for',
    new Leased().asks({ f: 'grant', ttlMs: 5_000 }, { lease: '79', ttlMs: 4_999 }),
    'KV-24 early',
  ],
  [
    'it is granted for more time than was asked for',
    new Leased().asks({ f: 'grant', ttlMs: 500 }, { lease: '79', ttlMs: 1_000 }),
    undefined,
  ],
  [
    'it is kept alive for less time than it was granted for',
    new Leased().asks({ f: 'keep-alive', lease: LEASE }, { ttlMs: TTL_MS - 1 }),
    'KV-24 early',
  ],
  [
    'it is there long after its time in the middle of faults',
    new Leased().pass(20_000).gone('a', 'b'),
    undefined,
  ],
])('%s', (_, { found }, message) => {
  if (message === undefined) expect(found).toBe('')
  else expect(found).toContain(message)
})

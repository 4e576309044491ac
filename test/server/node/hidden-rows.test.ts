// Rows that a disk hides under a running node, so that no checksum shows it: a read gives the right value, or ends the
// node. Nobody gets an older value, and no change is acknowledged that the majority does not make.

import { describe, expect, test } from 'vitest'
import { bytes, text } from '../../../jepsen-lite/sim/oracle/model-row.ts'
import { tombstoneKey, versionKey } from '../../../src/kv/codec/rows.ts'
import { type Command, eventsKey, leaseKey } from '../../../src/kv/index.ts'
import { TABLE_ATTACHMENTS } from '../../../src/kv/types.ts'
import { asRevision, type LeaseId, type Revision } from '../../../src/operations/forms/index.ts'
import type { Driver } from '../../../src/server/node/driver.ts'
import type { SlicedScan } from '../../../src/server/node/read/record-scan.ts'
import type { WatchSink } from '../../../src/server/node/watch/index.ts'
import { keyString, ROW_PREFIX_BYTES, TABLE_ROWS } from '../../../src/storage/keys.ts'
import { SimulatedCluster, type SimulatedNode, valueAt } from '../simulated-cluster.ts'

const EVERYTHING = { start: new Uint8Array(), end: undefined, reverse: false, revision: undefined } as const
const ALL_KEYS = { gte: Uint8Array.of(0), lt: Uint8Array.of(0xff), reverse: false, keysOnly: true }

/** Deletes a row from the disk of a node, below LevelDB's interface. */
function hide({ machine: { disk } }: SimulatedNode, rowKey: Uint8Array): void {
  const place = disk.rows
    .scan(ALL_KEYS)
    .next(Number.POSITIVE_INFINITY)
    .find(
      ([key]) =>
        key.length > ROW_PREFIX_BYTES && Buffer.compare(key.subarray(ROW_PREFIX_BYTES), rowKey) === 0,
    )
  if (place === undefined) throw new Error('there is no such row')
  disk.rows.edit([[keyString(place[0]), undefined]])
}

const revisionOf = (driver: Driver): Revision => driver.revision

interface World {
  readonly cluster: SimulatedCluster
  readonly node: SimulatedNode
  /** Revisions of the changes of `account`, and of the deletion of `gone`. */
  readonly old: Revision
  readonly newest: Revision
  readonly deleted: Revision
}

function world(nodes = 1): World {
  const cluster = SimulatedCluster.formed(nodes)
  const node = nodes === 1 ? cluster.leading : cluster.follower
  const done = (change: { result: unknown }): Revision => {
    cluster.until(() => change.result !== undefined)
    return revisionOf(cluster.leading.running)
  }
  for (let i = 0; i < 20; i++) done(cluster.leading.put(`key-${i}`, 'v'))
  const old = done(cluster.leading.put('account', 'balance 100'))
  const newest = done(cluster.leading.put('account', 'balance 000'))
  done(cluster.leading.put('gone', 'v'))
  const deleted = done(cluster.leading.remove('gone'))
  cluster.converge()
  // All rows become durable, and leave the memory.
  cluster.advance(1000)
  return { cluster, node, old, newest, deleted }
}

/** The items that a reader got, or its error. */
function all<T>(cluster: SimulatedCluster, scan: SlicedScan<T>): readonly T[] | Error {
  const items: T[] = []
  let outcome: readonly T[] | Error | undefined
  const read = (): void =>
    scan.next({ rowsMax: 5, bytesMax: 1e6 }, (error, page, more) => {
      items.push(...page)
      if (error !== undefined) outcome = error
      else if (more) read()
      else
        scan.finish((unread) => {
          outcome = unread ?? items
        })
    })
  read()
  cluster.until(() => outcome !== undefined)
  return outcome ?? []
}

/** Watches all keys from the first revision on, and notes the revisions of the events. */
function watchAll({ running }: SimulatedNode, revisions: Revision[]): void {
  const sink: WatchSink = {
    isFull: false,
    waits() {},
    events: ({ revision, events }) => {
      revisions.push(revision)
      for (const event of events) if (event.type === 'delete') expect(event.deletion).toBeDefined()
    },
    progress() {},
    ended() {},
  }
  const where = { start: new Uint8Array(), end: undefined }
  const options = { only: undefined, prev: false, values: true, progressMs: 1000 }
  running.watch({ where, from: asRevision(1), ...options }, sink)
}

const READS: Readonly<Record<string, (world: World) => unknown>> = {
  'a get': ({ node }) => {
    try {
      return valueAt(node.running, 'account')
    } catch (error) {
      return error
    }
  },
  'a range': ({ cluster, node }) => all(cluster, node.running.list(EVERYTHING)),
  'a range backwards': ({ cluster, node }) =>
    all(cluster, node.running.list({ ...EVERYTHING, reverse: true })),
  'a range without values': ({ cluster, node }) => all(cluster, node.running.listMetadata(EVERYTHING)),
  'a count': ({ cluster, node }) => all(cluster, node.running.listKeys(EVERYTHING)),
  'a range at the newest revision': ({ cluster, node }) =>
    all(cluster, node.running.list({ ...EVERYTHING, revision: revisionOf(node.running) })),
  'a count at the newest revision': ({ cluster, node }) =>
    all(cluster, node.running.listKeys({ ...EVERYTHING, revision: revisionOf(node.running) })),
  'a reader of all rows': ({ cluster, node }) => {
    const scan = node.running.rows()
    let outcome: unknown
    const read = (): void =>
      scan.next({ rowsMax: 5, bytesMax: 1e6 }, (error, _rows, more) => {
        if (error !== undefined) outcome = error
        else if (more) read()
        else outcome = 'whole'
      })
    read()
    cluster.until(() => outcome !== undefined)
    return outcome
  },
}

describe.each(Object.entries(READS))('%s', (_what, read) => {
  test('gives the newest version, or ends the node when the row of it is hidden', () => {
    const right = world()
    expect(read(right)).not.toBeInstanceOf(Error)
    expect(right.node.end).toBeUndefined()
    const damaged = world()
    hide(damaged.node, versionKey(bytes('account'), damaged.newest))
    expect(read(damaged)).toBeInstanceOf(Error)
    expect(damaged.node.end?.reason).toMatch(/Damaged data.*--join URL --replace/)
    expect(damaged.node.machine.disk.quarantined).toMatch('Damaged data')
  })

  test('does not give the version before the last change of all when the row of that is hidden', () => {
    const damaged = world()
    const { cluster, node } = damaged
    const change = node.put('account', 'balance 555')
    cluster.until(() => change.result !== undefined)
    cluster.advance(1000)
    hide(node, versionKey(bytes('account'), revisionOf(node.running)))
    expect(read(damaged)).toBeInstanceOf(Error)
    expect(node.end?.reason).toMatch(/Damaged data/)
  })
})

test.each(['a range', 'a range backwards', 'a range without values', 'a count', 'a reader of all rows'])(
  '%s does not show a key again whose deletion is hidden',
  (what) => {
    const damaged = world()
    hide(damaged.node, tombstoneKey(bytes('gone'), damaged.deleted))
    expect(READS[what]?.(damaged)).toBeInstanceOf(Error)
    expect(damaged.node.end?.reason).toMatch(/Damaged data/)
  },
)

test('whatever row is hidden, a get of any key gives the right value or ends the node', () => {
  const right = world()
  const rows = right.node.machine.disk.rows.scan(ALL_KEYS).next(Number.POSITIVE_INFINITY)
  const ofRows = rows.flatMap(([key]) =>
    key.length > ROW_PREFIX_BYTES && key[2] === TABLE_ROWS ? [key.subarray(ROW_PREFIX_BYTES)] : [],
  )
  const names = ['account', 'gone', ...Array.from({ length: 20 }, (_, i) => `key-${i}`)]
  const values = new Map(names.map((name) => [name, valueAt(right.node.running, name)]))
  expect(ofRows.length).toBeGreaterThan(25)
  let ended = 0
  for (const rowKey of ofRows) {
    const damaged = world()
    hide(damaged.node, rowKey)
    for (const name of names) {
      if (damaged.node.end !== undefined) break
      try {
        expect(valueAt(damaged.node.running, name)).toBe(values.get(name))
      } catch (error) {
        if (damaged.node.end === undefined) throw error
      }
    }
    if (damaged.node.end !== undefined) ended++
  }
  // The 21 keys that exist.
  expect(ended).toBe(21)
})

test('a range that began before a change, and is read after it, is no damage', () => {
  const { cluster, node } = world()
  const scans = [false, true].map((reverse) => node.running.list({ ...EVERYTHING, reverse }))
  const keys = node.running.listKeys(EVERYTHING)
  const changes = [node.put('account', 'balance 555'), node.remove('key-3'), node.put('gone', 'again')]
  cluster.until(() => changes.every(({ result }) => result !== undefined))
  for (const scan of scans) {
    const rows = all(cluster, scan)
    expect(rows).toHaveLength(21)
    const account = Array.isArray(rows) ? rows.find(({ key }) => text(key) === 'account') : undefined
    expect(account && text(account.value)).toBe('balance 000')
  }
  expect(all(cluster, keys)).toHaveLength(21)
  expect(node.end).toBeUndefined()
})

test('a scan that continues at other revisions finds no damage', () => {
  const { cluster, node, old, newest, deleted } = world()
  const change = node.put('key-3', 'later')
  cluster.until(() => change.result !== undefined)
  const scan = node.running.list({ ...EVERYTHING, revision: deleted })
  const read = (key: string, revision: Revision): string | undefined => {
    scan.moveTo({ start: bytes(key), end: bytes(`${key}\0`) }, revision)
    let answer: { readonly value: string | undefined } | undefined
    scan.next({ rowsMax: 1, bytesMax: 1000 }, (error, [record]) => {
      if (error !== undefined) throw error
      answer = { value: record && text(record.value) }
    })
    cluster.until(() => answer !== undefined)
    return answer?.value
  }
  expect([read('key-3', deleted), read('account', old)]).toEqual(['v', 'balance 100'])
  expect([read('account', newest), read('gone', deleted)]).toEqual(['balance 000', undefined])
  scan.close()
  expect(node.end).toBeUndefined()
})

test('a compare of a value ends the node whose row of it is hidden, and is acknowledged to nobody', () => {
  const { cluster, node, newest } = world(3)
  hide(node, versionKey(bytes('account'), newest))
  const change = node.compareAndSet('account', 'balance 100', 'balance 555')
  cluster.until(() => change.result !== undefined || node.end !== undefined)
  expect(node.end?.reason).toMatch(/Damaged data.*--join URL --replace/)
  expect(change.code).not.toBe('ok')
  const read = cluster.leading.read('account')
  cluster.until(() => read.result !== undefined)
  expect(read.value).toBe('balance 000')
})

test('a lease whose row is hidden does not live on or end unseen', () => {
  const { cluster, node } = world()
  const granted = node.grantLease('77' as LeaseId, 60_000)
  cluster.until(() => granted.result !== undefined)
  cluster.advance(1000)
  hide(node, leaseKey('77' as LeaseId))
  expect(() => node.running.lease('77' as LeaseId)).toThrow('Damaged data')
  expect(node.end?.reason).toMatch(/Damaged data/)
})

test('a new leader whose disk hides the row of a lease ends, and the next one ends the lease', () => {
  const cluster = SimulatedCluster.formed(3)
  const { leading } = cluster
  const id = '77' as LeaseId
  const granted = leading.grantLease(id, 10_000)
  cluster.until(() => granted.result !== undefined)
  const put = leading.putLeased('leased', 'v', { id })
  cluster.until(() => put.result !== undefined)
  cluster.converge()
  cluster.advance(1000)
  const next = cluster.follower
  hide(next, leaseKey(id))
  leading.running.transfer(next.id, 5000, () => {})
  cluster.until(() => next.end !== undefined)
  expect(next.end?.reason).toMatch(/Damaged data.*1 leases exist, and 0 have a row.*--join URL --replace/)
  cluster.until(() => cluster.leader !== undefined && cluster.leading !== next)
  cluster.advance(60_000)
  expect(valueAt(cluster.leading.running, 'leased')).toBeUndefined()
})

describe('a node whose disk hides a row that an entry or a reader needs ends, and names the way out', () => {
  const id = '77' as LeaseId

  /** A world with a lease of two keys. */
  function leased(): World {
    const made = world()
    const { cluster, node } = made
    for (const make of [
      () => node.grantLease(id, 10_000),
      () => node.putLeased('leased', 'v', { id }),
      () => node.putLeased('also leased', 'v', { id }),
    ]) {
      const change = make()
      cluster.until(() => change.result !== undefined)
    }
    cluster.advance(1000)
    return made
  }

  const firstEvents = eventsKey(asRevision(2))
  const attached = Buffer.concat([
    Uint8Array.of(TABLE_ATTACHMENTS),
    leaseKey(id).subarray(1),
    bytes('leased'),
  ])

  test.each<[string, (world: World) => Uint8Array, (world: World) => void]>([
    ['the revocation of a lease', () => attached, ({ node }) => void node.revokeLease(id)],
    ['the end of a lease', () => attached, () => {}],
    ['a compaction', () => firstEvents, (made) => propose(made, { kind: 'compact', revision: made.newest })],
    [
      'the compaction of old history',
      () => firstEvents,
      (made) => propose(made, { kind: 'settings', settings: { historyRevisionsMax: 5 } }),
    ],
    [
      'a watch that sends a deletion',
      ({ deleted }) => tombstoneKey(bytes('gone'), deleted),
      ({ node }) => void watchAll(node, []),
    ],
  ])('%s', (_what, rowOf, act) => {
    const damaged = leased()
    const { cluster, node } = damaged
    hide(node, rowOf(damaged))
    act(damaged)
    cluster.until(() => node.end !== undefined)
    expect(node.end?.reason).toMatch(/^Damaged data.*--join URL --replace/)
    expect(node.machine.disk.quarantined).toMatch('Damaged data')
  })

  function propose({ cluster, node }: World, command: Command): void {
    const request = { command, idempotency: undefined, principal: 'client' }
    cluster.invariants.model.requested(request)
    node.running.propose(request, 5000, () => {})
  }
})

test('a watch from a revision whose row of events is hidden ends with the node', () => {
  const { cluster, node, old } = world()
  let first = old
  for (;;) {
    try {
      hide(node, eventsKey(first))
      break
    } catch {
      first = asRevision(first - 1)
    }
  }
  const events: Revision[] = []
  watchAll(node, events)
  cluster.until(() => node.end !== undefined)
  expect(node.end?.reason).toMatch(/Damaged data.*events/)
  expect(events.every((revision) => revision < first)).toBe(true)
})

test('a leader whose rows are not those that were written sends no snapshot of them: another one leads and does', () => {
  // A follower that misses a few entries needs a snapshot.
  const limits = { logTailEntries: 5, logBehindEntries: 5, compactEntriesMin: 1 }
  const cluster = SimulatedCluster.formed(3, { limits })
  const { leading } = cluster
  const behind = cluster.follower
  const put = (key: string, value: string): void => {
    const change = leading.put(key, value)
    cluster.until(() => change.result !== undefined)
  }
  put('account', 'balance 100')
  put('account', 'balance 000')
  const newest = leading.running.revision
  behind.crash()
  for (let i = 0; i < 50; i++) put(`key-${i}`, 'v')
  cluster.advance(1000)
  hide(leading, versionKey(bytes('account'), newest))
  behind.start()
  cluster.until(() => leading.end !== undefined)
  expect(leading.end?.reason).toMatch(/Damaged data.*--join URL --replace/)
  cluster.until(() => cluster.leader !== undefined && cluster.leading !== leading)
  cluster.converge()
  // It reads all rows into memory.
  cluster.advance(2000)
  expect(valueAt(behind.running, 'account')).toBe('balance 000')
  expect(valueAt(behind.running, 'key-49')).toBe('v')
})

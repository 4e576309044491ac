// A follower whose state is replaced by a snapshot. Requests that wait for entries that the snapshot covers complete
// at once, even if no entry follows. In virtual time; this test is the leader.

import { crc32 } from 'node:zlib'
import { expect, test } from 'vitest'
import { encodeState, initialState } from '../../../src/kv/index.ts'
import { CLUSTER_VERSION } from '../../../src/operations/forms/settings.ts'
import {
  asIndex,
  asReplicaId,
  asTerm,
  ENTRY_NOOP,
  type Entry,
  encodeAppliedState,
  type Message,
  newFrame,
  sealFrame,
  stampFrame,
} from '../../../src/raft/index.ts'
import { Driver } from '../../../src/server/node/driver.ts'
import { driverLimits, raftLimits, raftTiming } from '../../../src/server/node/limits.ts'
import type { Network } from '../../../src/server/node/network.ts'
import { newRaft } from '../../../src/server/node/new-raft.ts'
import type { ReadRequirements } from '../../../src/server/node/read/reads.ts'
import type { Result } from '../../../src/server/node/result.ts'
import type { SnapshotSource } from '../../../src/storage/types.ts'
import { ask, putOf } from '../../kv/store.ts'
import { memoryDisk, openDisk } from '../../storage/replicas.ts'
import { applied, hardState, identity } from '../../storage/samples.ts'
import { VirtualClock } from '../virtual-clock.ts'

const SELF = identity.replicaId
const LEADER = asReplicaId('2')
const TERM = asTerm(2)
const DISK_MS = 2
/** More entries than one slice of applying takes. */
const LAST = asIndex(60)
/** No request here may wait for that long. */
const PATIENCE_MS = 60_000

async function follower() {
  const clock = new VirtualClock()
  const members = [SELF, LEADER].map((id) => ({ id, name: `n${id.length}`, peer: `${id}:1`, url: '' }))
  const raft = encodeAppliedState({
    configuration: {
      ...{ voters: [LEADER, SELF], members, votersOutgoing: [], learners: [] },
      ...{ learnersNext: [], demoted: [], removed: [] },
    },
    leaderLeases: { on: false, durationMs: 500 },
  })
  const record = { ...applied(1, 1), raft, kv: encodeState(initialState()) }
  const disk = memoryDisk({ hardState: hardState(1, 1), applied: record })
  let isOpen = false
  const storage = await openDisk(disk, (_, complete) =>
    isOpen ? void clock.after(DISK_MS, complete) : void setImmediate(complete),
  )
  isOpen = true
  const sent: Message[] = []
  const network: Network = {
    ...{ setPeers() {}, sendStateHash() {}, sendSnapshot() {}, close() {} },
    ...{ requestKeepAlive() {}, answerKeepAlive() {}, sendTraces() {} },
    ...{ requestReport: () => false, answerReport() {} },
    send: (message) => sent.push(message),
    inspect: () => ({}),
  }
  const ends: unknown[] = []
  const levers = { freeBytes: Number.POSITIVE_INFINITY }
  const driver = new Driver({
    ...{ clock, storage, raftLimits, random: () => 0, timing: raftTiming },
    // With this limit, the entries of one append are not all applied at once.
    limits: { ...driverLimits, scrubEveryMs: 1e9, applySliceMs: 0 },
    observer: { proposalEnded() {}, batchStored() {}, entriesApplied() {}, roleChanged() {} },
    disk: {
      ...{ freeBytes: () => levers.freeBytes, hasReserve: false },
      ...{ takeReserve() {}, giveBackReserve() {} },
    },
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    peerAddress: () => 'n1:1',
    onEnd: (end) => ends.push(end),
  })
  driver.start(network)
  const from = { from: LEADER, to: SELF, term: TERM }
  const append = (entries: readonly Entry[], commit: number): void =>
    driver.events.message({
      ...{ ...from, type: 'append', prevIndex: asIndex(1), prevTerm: asTerm(1), entries },
      ...{ commit: asIndex(commit), round: 0 },
    })
  append([], 1)
  clock.advance(10)
  const meta: SnapshotSource['meta'] = {
    ...{ index: LAST, term: TERM, stateHash: 0n },
    applied: { ...record, index: LAST, term: TERM },
  }
  return { clock, driver, storage, levers, sent, ends, from, append, meta }
}

/** Stages a complete snapshot that is not installed yet. */
function stage({ clock, driver, meta }: Awaited<ReturnType<typeof follower>>): void {
  let staged = false
  driver.events.snapshotOffered(LEADER, TERM, 's', meta, (refuse, sink) => {
    expect(refuse).toBeUndefined()
    sink?.finish((error) => {
      staged = error === undefined
    })
  })
  clock.advance(10 * DISK_MS)
  expect(staged).toBe(true)
}

const linearizable: ReadRequirements = {
  ...{ consistency: 'linearizable', maxStalenessMs: undefined, minRevision: undefined },
  timeoutMs: PATIENCE_MS,
}

test('a read that waits for its index is served when a snapshot brings it', async () => {
  const node = await follower()
  const { clock, driver, sent, from, meta } = node
  const results: Result<unknown>[] = []
  driver.read(linearizable, (result) => results.push(result))
  clock.advance(1)
  const asked = sent.find((message) => message.type === 'read-index')
  if (asked === undefined) throw new Error('the leader was not asked')
  driver.events.message({
    ...{ ...from, type: 'read-index-answer', request: asked.request, index: LAST },
    ...{ refusal: undefined, leaderLease: false, commit: asIndex(1) },
  })
  stage(node)
  expect(results).toEqual([])
  driver.events.snapshotReceived(LEADER, TERM, 's', meta)
  clock.advance(10 * DISK_MS)
  expect(results).toMatchObject([{ ok: true, value: { served: 'linearizable' } }])
  expect(node.ends).toEqual([])
})

test('a proposal whose result a snapshot hides is told so', async () => {
  const node = await follower()
  const { clock, driver, sent, append, meta } = node
  const results: Result<unknown>[] = []
  driver.propose(ask(putOf('k', 'v')), PATIENCE_MS, (result) => results.push(result))
  clock.advance(10)
  const forwarded = sent.find((message) => message.type === 'forward')
  const own = forwarded?.proposals[0]?.frame
  if (own === undefined) throw new Error('nothing was forwarded')
  stage(node)
  // The proposal is the last of more entries than are applied at once; the snapshot is one entry longer.
  const entries = Array.from({ length: LAST - 2 }, (_, at): Entry => {
    const index = asIndex(at + 2)
    const header = { kind: ENTRY_NOOP, version: 1, proposer: LEADER, boot: 1, seq: 0 }
    const frame = index === LAST - 1 ? own : sealFrame(newFrame(header, 0), crc32)
    stampFrame(frame, TERM, index, 0)
    return { index, term: TERM, frame }
  })
  append(entries, LAST - 1)
  expect(driver.inspect()).toMatchObject({ 'proposals.waiting': 1 })
  driver.events.snapshotReceived(LEADER, TERM, 's', meta)
  clock.advance(10 * DISK_MS)
  expect(results).toMatchObject([{ ok: false, problem: { code: 'outcome_unknown', written: 'unknown' } }])
  expect(driver.inspect()).toMatchObject({ 'proposals.waiting': 0, 'proposals.committed': 0 })
  expect(node.ends).toEqual([])
})

test('while a snapshot is installed readers see the state from before, and nobody is told otherwise', async () => {
  const node = await follower()
  const { clock, driver, sent, from, meta } = node
  stage(node)
  driver.events.snapshotReceived(LEADER, TERM, 's', meta)
  const told = sent.find((message) => message.type === 'append-accepted')
  if (told === undefined) throw new Error('nothing was acknowledged')
  sent.length = 0
  driver.events.message({
    ...{ ...from, type: 'heartbeat', commit: LAST, round: 1, appliedByMajority: asIndex(1) },
    confirmed: { at: told.sentAt, readIndex: LAST },
  })
  const results: Result<unknown>[] = []
  const ages: unknown[] = []
  const askForAge = (): void => {
    driver.read({ ...linearizable, consistency: 'stale' }, (result) =>
      ages.push(result.ok && result.value.stalenessMs !== undefined),
    )
  }
  askForAge()
  driver.read(linearizable, (result) => results.push(result))
  clock.advance(0)
  const asked = sent.find((message) => message.type === 'read-index')
  if (asked === undefined) throw new Error('the leader was not asked')
  driver.events.message({
    ...{ ...from, type: 'read-index-answer', request: asked.request, index: LAST },
    ...{ refusal: undefined, leaderLease: false, commit: LAST },
  })
  expect([results, ages]).toEqual([[], [false]])
  clock.advance(10 * DISK_MS)
  askForAge()
  clock.advance(0)
  expect([results.length, ages]).toEqual([1, [false, true]])
  const applied = sent.flatMap((message) => (message.type === 'heartbeat-answer' ? [message.applied] : []))
  expect(applied).toEqual([1])
})

test('a leader that offers what is committed here is told again that it is, and one that may not offer anything is not', async () => {
  const node = await follower()
  const { clock, driver, sent, meta } = node
  stage(node)
  driver.events.snapshotReceived(LEADER, TERM, 's', meta)
  clock.advance(10 * DISK_MS)
  const offered = (term: typeof TERM, index: typeof LAST): string => {
    sent.length = 0
    let why = ''
    driver.events.snapshotOffered(LEADER, term, 's', { ...meta, index }, (refuse, sink) => {
      expect(sink).toBeUndefined()
      why = refuse ?? ''
    })
    clock.advance(10 * DISK_MS)
    return why
  }
  expect(offered(TERM, LAST)).not.toBe('')
  expect(sent).toMatchObject([{ type: 'append-accepted', index: LAST }])
  expect(offered(asTerm(1), asIndex(LAST + 1))).not.toBe('')
  expect(sent).toEqual([])
  expect(node.ends).toEqual([])
})

test('what is received goes to the storage for as long as there is room for it', async () => {
  const node = await follower()
  const { clock, driver, storage, meta } = node
  const asked: string[] = []
  storage.snapshotSink = (_id, _from, _meta, done) =>
    done(undefined, {
      get nextChunk() {
        return asked.length
      },
      write: (number, _chunk, written) => {
        asked.push(`write ${number}`)
        written(undefined)
      },
      finish: (finished) => {
        asked.push('finish')
        finished(new Error('not whole'))
      },
      abort: () => asked.push('abort'),
    })
  driver.events.snapshotOffered(LEADER, TERM, 's', meta, (refuse, sink) => {
    if (sink === undefined) throw new Error(refuse)
    const errors: unknown[] = []
    const done = (error: Error | undefined): void => void errors.push(error?.message)
    expect(sink.nextChunk).toBe(0)
    sink.write(7, Buffer.alloc(10), done)
    expect(sink.nextChunk).toBe(1)
    sink.finish(done)
    sink.abort()
    expect([asked, errors]).toEqual([
      ['write 7', 'finish', 'abort'],
      [undefined, 'not whole'],
    ])
    node.levers.freeBytes = 0
    clock.advance(driverLimits.diskCheckMs)
    sink.write(8, Buffer.alloc(10), done)
    expect(errors).toHaveLength(2)
    clock.advance(0)
    expect([asked.length, errors[2]]).toEqual([3, 'the disk here is nearly full'])
  })
  expect(asked).toHaveLength(3)
})

test('what could not be forwarded is forwarded as soon as the leader is connected again', async () => {
  const { clock, driver, sent } = await follower()
  const hello = { ...driver.events.greeting(), replicaId: LEADER, name: 'n2', term: TERM, lastIndex: LAST }
  const forwarded = (): number => sent.filter(({ type }) => type === 'forward').length
  driver.events.connected(hello)
  driver.events.disconnected(LEADER)
  driver.propose(ask(putOf('k', 'v')), PATIENCE_MS, () => {})
  clock.advance(1)
  expect([forwarded(), driver.inspect()['proposals.parked']]).toEqual([0, 1])
  driver.events.connected(hello)
  clock.advance(0)
  expect([forwarded(), driver.inspect()['proposals.parked']]).toEqual([1, 0])
})

test('a snapshot of a newer cluster version stops the node before anything of it is stored', async () => {
  const node = await follower()
  const { driver, meta, storage } = node
  storage.snapshotSink = () => expect.fail('the storage was requested to stage it')
  const kv = Uint8Array.of(CLUSTER_VERSION + 1, ...meta.applied.kv.subarray(1))
  let why: string | undefined
  driver.events.snapshotOffered(
    LEADER,
    TERM,
    's',
    { ...meta, applied: { ...meta.applied, kv } },
    (refuse) => {
      why = refuse
    },
  )
  expect(why).toBe('this node has ended')
  expect(node.ends).toEqual([
    {
      kind: 'failed',
      reason: expect.stringMatching(/^cluster version \d+ of the data is not known to this/),
    },
  ])
})

/** An entry that follows the snapshot of `follower`. */
function entryWith(kind: number, version: number, flags = 0): Entry {
  const frame = newFrame({ kind, version, proposer: LEADER, boot: 1, seq: 1 }, 2)
  frame[35] = flags
  stampFrame(sealFrame(frame, crc32), TERM, asIndex(2), 0)
  return { index: asIndex(2), term: TERM, frame }
}

test.each([
  ['entry kind 99', entryWith(99, 1)],
  ['version 2 of entry kind 16', entryWith(16, 2)],
])('%s in the log, which only a newer version knows, refuses the next start', async (what, entry) => {
  const { append, clock, ends, storage } = await follower()
  append([entry], 1)
  clock.advance(10 * DISK_MS)
  expect([storage.log.lastIndex(), ends]).toEqual([2, []])
  const options = { clock, raftLimits, random: () => 0, storage, timing: raftTiming }
  const room = { bytes: 1, items: 1 }
  expect(() => newRaft(options, { commandRefusal: () => undefined, diskRoom: () => room })).toThrow(
    `${what} is not known to this version of quorate`,
  )
})

test.each([
  ['entry 2 with flags 1', entryWith(16, 1, 1)],
  ['entry 2 with kind 9', entryWith(9, 1)],
])('%s, which only a newer version knows, stops the node that receives it', async (what, entry) => {
  const { append, ends } = await follower()
  append([entry], 1)
  expect(ends).toMatchObject([{ reason: expect.stringMatching(`^${what} is not known to this version`) }])
})

// The driver's calls to the outside: observer, network, errors, counts and callers, before and after its end. One
// voter, alone, in virtual time.

import { expect, test } from 'vitest'
import { CLUSTER_VERSION, encodeState, initialState, type Request } from '../../../src/kv/index.ts'
import {
  asReplicaId,
  bootstrapConfiguration,
  encodeAppliedState,
  type RaftMember,
} from '../../../src/raft/index.ts'
import { Driver } from '../../../src/server/node/driver.ts'
import type { DriverObserver } from '../../../src/server/node/driver-options.ts'
import { driverLimits, raftLimits, raftTiming } from '../../../src/server/node/limits.ts'
import type { Network, NodeEnd, Result, StateHashAt } from '../../../src/server/node/types.ts'
import { ask, putOf, utf8 } from '../../kv/store.ts'
import { memoryDisk, openDisk } from '../../storage/replicas.ts'
import { applied, hardState, identity } from '../../storage/samples.ts'
import { VirtualClock } from '../virtual-clock.ts'

const SELF: RaftMember = { id: identity.replicaId, name: identity.name, peer: 'n1:1', url: 'http://n1' }
const OTHER: RaftMember = { id: asReplicaId('2'), name: 'n2', peer: 'n2:1', url: 'http://n2' }
const DISK_MS = 2

interface Observed {
  readonly outcomes: string[]
  readonly batches: [ms: number, entries: number][]
  applied: number
  roles: number
}

async function alone({ started = true, limits = {} as Partial<typeof driverLimits> } = {}) {
  const clock = new VirtualClock()
  const raft = encodeAppliedState({
    configuration: bootstrapConfiguration(SELF),
    leases: { on: false, durationMs: 500 },
  })
  const record = { ...applied(1, 1), raft, kv: encodeState(initialState()) }
  const disk = memoryDisk({ hardState: hardState(1, 1), applied: record })
  const levers = { fails: undefined as Error | undefined, freeBytes: Number.POSITIVE_INFINITY }
  let isOpen = false
  const later = (_: unknown, complete: () => void): void =>
    void (isOpen ? clock.after(DISK_MS, complete) : setImmediate(complete))
  const storage = await openDisk(disk, later, {
    beforeRead: () => {
      if (levers.fails !== undefined) throw levers.fails
    },
  })
  while (!storage.knowsAllHeads) await new Promise(setImmediate)
  isOpen = true
  const observed: Observed = { outcomes: [], batches: [], applied: 0, roles: 0 }
  const observer: DriverObserver = {
    proposalEnded: (outcome) => observed.outcomes.push(outcome),
    batchStored: (ms, entries) => observed.batches.push([ms, entries]),
    entriesApplied: (count) => {
      observed.applied += count
    },
    roleChanged: () => {
      observed.roles++
    },
  }
  const peers: string[][] = []
  const hashes: StateHashAt[] = []
  const sent: string[] = []
  let closed = 0
  const network: Network = {
    setPeers: (members) => peers.push(members.map(({ name }) => name)),
    send: ({ type }) => sent.push(type),
    sendStateHash: (at) => hashes.push(at),
    requestKeepAlive: () => sent.push('a keep-alive'),
    answerKeepAlive: () => sent.push('an answer to a keep-alive'),
    sendSnapshot: () => sent.push('a snapshot'),
    inspect: () => ({ links: 0 }),
    close: () => closed++,
  }
  const ends: NodeEnd[] = []
  const logged: (readonly [text: string, fields: object])[] = []
  const log = (fields: object, text: string): void => void logged.push([text, fields])
  const driver = new Driver({
    ...{ clock, storage, timing: raftTiming, raftLimits, observer, random: () => 0 },
    limits: { ...driverLimits, scrubEveryMs: 1e9, ...limits },
    disk: {
      freeBytes: () => levers.freeBytes,
      hasReserve: false,
      takeReserve() {},
      giveBackReserve() {},
    },
    logger: { debug: log, info: log, warn: log, error: log },
    peerAddress: () => SELF.peer,
    onEnd: (end) => ends.push(end),
  })
  const results: Result<unknown>[] = []
  const done = (result: Result<unknown>): void => void results.push(result)
  const propose = (request: Request = ask(putOf('k', 'v')), timeoutMs = 1000): void =>
    driver.propose(request, timeoutMs, done)
  const read = (timeoutMs = 1000) =>
    driver.read(
      { consistency: 'linearizable', maxStalenessMs: undefined, minRevision: undefined, timeoutMs },
      done,
    )
  if (started) {
    driver.start(network)
    clock.advance(2 * raftTiming.electionMaxMs)
    expect(driver.status().raft.role).toBe('leader')
    observed.batches.length = 0
    observed.applied = 0
  }
  return {
    ...{ clock, storage, levers, driver, network, observed, peers, hashes, sent, ends, results },
    ...{ done, propose, read, closed: () => closed, logged },
  }
}

const underWay = (driver: Driver): Record<string, number> =>
  Object.fromEntries(Object.entries(driver.inspect()).filter(([, count]) => count !== 0))

test('a voter that is alone is ready, names itself as the leader, and has nothing under way', async () => {
  const { driver, peers, sent, observed } = await alone()
  expect(driver.leaderName).toBe('n1')
  expect(driver.status()).toMatchObject({
    ...{
      name: 'n1',
      clusterId: identity.clusterId,
      replicaId: SELF.id,
      revision: 1,
      errors: [],
      notReady: [],
    },
    diskFreeBytes: Number.POSITIVE_INFINITY,
  })
  expect([driver.revision, driver.term]).toEqual([1, driver.status().raft.term])
  expect(underWay(driver)).toEqual({})
  expect(Object.keys(driver.inspect())).toEqual(
    expect.arrayContaining([
      'waits',
      'batchDelayTimer',
      'retryTimer',
      'links.links',
      'reads.open',
      'proposals.bytes',
    ]),
  )
  for (const named of peers) expect(named).toEqual([])
  expect([sent, observed.roles > 0]).toEqual([[], true])
  expect(driver.events.greeting()).toMatchObject({
    ...{
      clusterId: identity.clusterId,
      replicaId: SELF.id,
      name: 'n1',
      peer: 'n1:1',
      clusterVersion: CLUSTER_VERSION,
    },
    ...{ boot: 1, term: driver.term },
  })
})

test('before it knows a leader it is not ready, and says so', async () => {
  const { driver } = await alone({ started: false })
  expect(driver.leaderName).toBeUndefined()
  expect(driver.status()).toMatchObject({ errors: ['no leader is known'], notReady: ['no leader is known'] })
})

test('a change that is done is counted as committed, with the batch and the entry that it took', async () => {
  const { clock, driver, propose, results, observed } = await alone()
  propose()
  expect(underWay(driver)).toMatchObject({ wakeSoon: 1, gathered: 1 })
  clock.advance(1)
  expect(underWay(driver)).toMatchObject({ 'groupCommit.inFlight': 1 })
  clock.advance(100)
  expect(results).toMatchObject([
    { ok: true, value: { outcome: { kind: 'put', revision: 2 }, replayed: false } },
  ])
  expect([observed.outcomes, observed.applied, driver.revision]).toEqual([['committed'], 1, 2])
  expect(observed.batches[0]).toEqual([DISK_MS, 1])
  expect(observed.batches.reduce((sum, [, entries]) => sum + entries, 0)).toBe(1)
  expect(underWay(driver)).toEqual({})
})

test('many changes at once are one batch, and a crowd that comes back is waited for', async () => {
  const { clock, driver, propose, results, observed } = await alone()
  const CROWD = 20
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < CROWD; i++) propose(ask(putOf(`k${i}`, `${round}`)))
    clock.advance(50)
  }
  expect([results.length, observed.batches.filter(([, entries]) => entries > 0).length]).toEqual([
    3 * CROWD,
    3,
  ])
  // The first proposal alone waits for others, but only for a while.
  propose()
  clock.advance(1)
  expect(underWay(driver)).toMatchObject({ batchDelayTimer: 1, gathered: 1 })
  propose()
  clock.advance(2)
  expect(underWay(driver)).toMatchObject({ batchDelayTimer: 1, gathered: 2 })
  clock.advance(50)
  expect([results.length, underWay(driver)]).toEqual([3 * CROWD + 2, {}])
})

test('what is refused is counted as refused, and what nobody can know as unknown', async () => {
  const { clock, driver, propose, results, observed } = await alone()
  propose(ask({ kind: 'settings', settings: { clusterVersion: 9 } }))
  expect(results).toEqual([])
  clock.advance(1)
  expect(results.splice(0)).toMatchObject([{ ok: false, problem: { code: 'membership_refused' } }])
  expect(observed.outcomes).toEqual([])
  propose(undefined, 1)
  clock.advance(DISK_MS + 5)
  expect(results.splice(0)).toMatchObject([
    { ok: false, problem: { code: 'outcome_unknown', written: 'unknown' } },
  ])
  driver.change({ kind: 'change', steps: [{ kind: 'remove', id: SELF.id }] }, 1000, (result) =>
    results.push(result),
  )
  clock.advance(100)
  expect(results.splice(0)).toMatchObject([
    { ok: false, problem: { code: 'membership_refused', written: 'no' } },
  ])
  expect(observed.outcomes).toEqual(['unknown', 'refused'])
})

test('too many changes at once are refused, each in a later turn', async () => {
  const { clock, propose, results } = await alone({ limits: { proposalsMax: 2 } })
  for (let i = 0; i < 3; i++) propose()
  expect(results).toEqual([])
  clock.advance(100)
  expect(results.map((result) => (result.ok ? 'ok' : result.problem.code)).sort()).toEqual([
    'ok',
    'ok',
    'overloaded',
  ])
})

test('a learner that is added is a peer, and voters are asked to take part', async () => {
  const { clock, driver, peers, results, sent, done } = await alone()
  driver.change({ kind: 'change', steps: [{ kind: 'add-learner', member: OTHER }] }, 1000, done)
  clock.advance(100)
  expect(results).toMatchObject([{ ok: true, value: { learners: [OTHER.id], voters: [SELF.id] } }])
  expect([peers.at(-1), driver.configuration.members.map(({ name }) => name).sort()]).toEqual([
    ['n2'],
    ['n1', 'n2'],
  ])
  const before = peers.length
  clock.advance(1000)
  // An unchanged configuration is not reported again.
  expect([peers.length, sent.includes('snapshot')]).toEqual([before, false])
  driver.change({ kind: 'change', steps: [{ kind: 'remove', id: OTHER.id }] }, 1000, done)
  clock.advance(1000)
  expect(results).toHaveLength(2)
  expect(driver.configuration.members.map(({ name }) => name)).toEqual(['n1'])
  expect(driver.configuration.removed).toEqual([OTHER.id])
  const hello = { ...driver.events.greeting(), replicaId: OTHER.id, name: 'n2' }
  expect(driver.events.admit(hello)).toMatchObject({
    stop: true,
    refuse: expect.stringContaining('was removed from the cluster'),
  })
  expect(driver.events.admit({ ...hello, replicaId: asReplicaId('3') })).toBeUndefined()
})

test('leases are a setting, answered as they are then', async () => {
  const { clock, driver, results, done } = await alone()
  driver.setLeases({ on: true, durationMs: 400 }, 1000, done)
  clock.advance(100)
  expect(results).toEqual([{ ok: true, value: { on: true, durationMs: 400 } }])
  expect(driver.status().raft.leases).toEqual({ on: true, durationMs: 400 })
})

test('hashes are told while nothing happens, and at every index that is to be compared', async () => {
  const { clock, hashes, propose } = await alone({ limits: { hashIdleMs: 1000, hashEveryEntries: 4 } })
  hashes.length = 0
  clock.advance(3000)
  expect(hashes).toHaveLength(3)
  hashes.length = 0
  for (let i = 0; i < 8; i++) {
    propose()
    clock.advance(20)
  }
  const told = hashes.map(({ index }) => index)
  expect(told.filter((index) => index % 4 === 0).length).toBeGreaterThanOrEqual(2)
  expect(told.length).toBeLessThan(5)
})

test('leadership goes nowhere without another voter, and that is said', async () => {
  const { clock, driver, results, done } = await alone()
  driver.transfer(undefined, 1000, done)
  driver.transfer(OTHER.id, 1000, done)
  expect(results).toEqual([])
  clock.advance(1)
  expect(results).toMatchObject([
    { ok: false, problem: { code: 'membership_refused', written: 'no' } },
    { ok: false, problem: { code: 'membership_refused', written: 'no' } },
  ])
  expect(underWay(driver)).toEqual({})
  // A transfer to the current leader does nothing.
  driver.transfer(SELF.id, 1000, done)
  clock.advance(1)
  expect(results[2]).toEqual({ ok: true, value: { leader: 'n1' } })
})

test('a node that drains finishes what is under way, takes more until then, and is not ready', async () => {
  const { clock, driver, propose, results } = await alone()
  propose()
  let drained = 0
  driver.drain(() => drained++)
  expect(driver.status().notReady).toEqual(['the node is stopping'])
  propose()
  expect(drained).toBe(0)
  clock.advance(100)
  expect([results.map(({ ok }) => ok), drained, underWay(driver)]).toEqual([[true, true], 1, {}])
})

test('a node that drains waits no longer than it may', async () => {
  const { clock, driver, propose, storage } = await alone({ limits: { drainMsMax: 500 } })
  storage.write = () => {}
  propose(undefined, 10_000)
  clock.advance(5)
  let drained = 0
  driver.drain(() => drained++)
  clock.advance(499)
  expect(drained).toBe(0)
  clock.advance(1)
  expect(drained).toBe(1)
})

test.each(['stopped', 'crashed'] as const)(
  'after it was %s nothing happens any more, and everybody is told',
  async (kind) => {
    const { clock, driver, propose, read, results, ends, closed, hashes, peers, observed, done, sent } =
      await alone()
    propose()
    clock.advance(0)
    propose()
    read()
    let told = 0
    if (kind === 'crashed') driver.crash()
    else
      driver.close((error) => {
        expect(error).toBeUndefined()
        told++
      })
    expect(results.map((result) => (result.ok ? 'ok' : result.problem.code)).sort()).toEqual([
      'not_ready',
      'not_ready',
      'outcome_unknown',
    ])
    expect(closed()).toBe(1)
    results.length = 0
    const before = [hashes.length, peers.length, observed.roles, sent.length]
    propose()
    read()
    driver.transfer(undefined, 1000, done)
    driver.change({ kind: 'change', steps: [] }, 1000, done)
    expect(results).toEqual([])
    clock.advance(600_000)
    const reason = kind === 'crashed' ? 'the node was crashed on purpose' : 'the node was stopped'
    const ended = { ok: false, problem: { code: 'not_ready', detail: reason, written: 'no' } }
    expect(results).toEqual([ended, ended, ended, ended])
    expect([hashes.length, peers.length, observed.roles, sent.length]).toEqual(before)
    expect(driver.status()).toMatchObject({ errors: [reason], notReady: [reason] })
    expect(driver.events.admit(driver.events.greeting())).toEqual({
      refuse: 'this node has ended',
      stop: false,
    })
    driver.events.snapshotOffered(OTHER.id, driver.term, 's', undefined as never, (refuse, sink) =>
      expect([refuse, sink]).toEqual(['this node has ended', undefined]),
    )
    // The driver was not asked to end itself.
    expect(ends).toEqual([])
    driver.crash()
    driver.close(() => told++)
    expect([told, closed()]).toEqual([kind === 'crashed' ? 1 : 2, 1])
  },
)

test('a row that cannot be read ends the node, and the one who asked for it hears why', async () => {
  const range = { start: utf8('a'), end: utf8('b'), reverse: false, revision: undefined, keysOnly: false }
  for (const how of ['get', 'scan'] as const) {
    const { driver, storage, ends, closed } = await alone()
    const fail = () => {
      throw new Error('EIO')
    }
    storage.head = fail
    storage.scan = fail
    const told: unknown[] = []
    if (how === 'get') driver.get(utf8('a'), (error, record) => told.push(error?.message, record))
    else expect(() => driver.list(range)).toThrow('EIO')
    expect(told).toEqual(how === 'get' ? ['EIO', undefined] : [])
    expect([ends, closed()]).toEqual([[{ kind: 'failed', reason: expect.stringContaining('EIO') }], 1])
    expect(driver.status().errors).toEqual([expect.stringContaining('EIO')])
  }
})

test('another node may tell it to stop: for good, unless it leaves anyhow', async () => {
  const { driver, ends, clock } = await alone()
  driver.events.stop('lost its state')
  expect(ends).toEqual([{ kind: 'failed', reason: 'lost its state' }])
  driver.events.stop('again')
  clock.advance(10_000)
  expect(ends).toHaveLength(1)
})

test('a disk that is short of room is an error with its size, and is compacted again and again until it is not', async () => {
  const { clock, driver, levers, storage } = await alone()
  const compactions: ((error: Error | undefined) => void)[] = []
  storage.compact = (done) => compactions.push(done)
  levers.freeBytes = driverLimits.diskReserveBytes - 1
  clock.advance(driverLimits.diskLookMs)
  expect(driver.status().errors).toEqual([
    expect.stringMatching(/disk is nearly full .*deletes are taken, other changes are refused/),
  ])
  expect(compactions).toHaveLength(1)
  clock.advance(10 * driverLimits.diskCompactMs)
  expect(compactions).toHaveLength(1)
  compactions[0]?.(undefined)
  clock.advance(driverLimits.diskCompactMs + driverLimits.diskLookMs)
  expect(compactions).toHaveLength(2)
  compactions[1]?.(undefined)
  levers.freeBytes = 1
  clock.advance(driverLimits.diskLookMs)
  expect(driver.status().errors).toEqual([expect.stringMatching(/nothing is written/)])
  levers.freeBytes = Number.POSITIVE_INFINITY
  clock.advance(driverLimits.diskLookMs)
  expect([driver.status().errors, driver.status().diskFreeBytes]).toEqual([[], Number.POSITIVE_INFINITY])
})

test('a compaction that fails ends the node', async () => {
  const { clock, levers, storage, ends } = await alone()
  storage.compact = (done) => done(new Error('ENOSPC: no space left'))
  levers.freeBytes = driverLimits.diskReserveBytes - 1
  clock.advance(driverLimits.diskLookMs)
  expect(ends).toEqual([{ kind: 'failed', reason: expect.stringContaining('ENOSPC') }])
})

test('reads: of what is applied, at once or when it is, and with the bound that a leader knows', async () => {
  const { clock, driver, propose, read, results } = await alone()
  propose()
  clock.advance(20)
  results.length = 0
  read()
  expect(results).toEqual([])
  clock.advance(0)
  expect(results).toEqual([
    { ok: true, value: { served: 'linearizable', stalenessMs: undefined, revision: 2 } },
  ])
  driver.read({ consistency: 'stale', maxStalenessMs: 0, minRevision: undefined, timeoutMs: 1 }, (result) =>
    results.push(result),
  )
  clock.advance(0)
  expect(results[1]).toMatchObject({ ok: true, value: { served: 'stale', stalenessMs: 0, revision: 2 } })
  expect(underWay(driver)).toEqual({})
})

test('while the disk is short of room deletes are done and other changes are not, and scans that take long are ended', async () => {
  const { clock, levers, storage, propose, results } = await alone()
  storage.compact = () => {}
  let ended = 0
  storage.endOldScans = () => ended++
  levers.freeBytes = driverLimits.diskReserveBytes - 1
  clock.advance(driverLimits.diskLookMs)
  propose()
  propose(ask({ kind: 'delete', key: Buffer.from('k'), condition: undefined, prev: false }))
  clock.advance(50)
  expect(results).toMatchObject([
    { ok: false, problem: { code: 'storage_full', written: 'no' } },
    { ok: true },
  ])
  levers.freeBytes = driverLimits.diskReserveBytes / 2 - 1
  const before = ended
  clock.advance(driverLimits.diskLookMs)
  expect(ended).toBeGreaterThan(before)
})

test('what happens to a node is logged, with what an operator asks for next', async () => {
  const { clock, driver, levers, logged, done, storage, ends } = await alone()
  const said = (text: string | RegExp): object[] =>
    logged.flatMap(([each, fields]) => (new RegExp(text).test(each) ? [fields] : []))
  const { term } = driver
  expect(said(`^leader in term ${term}: .`)).toEqual([{ role: 'leader', term, leader: 'n1' }])
  driver.change({ kind: 'change', steps: [{ kind: 'add-learner', member: OTHER }] }, 1000, done)
  clock.advance(100)
  expect(said('^n2 is a learner$')).toEqual([{ voters: ['n1'], votersOutgoing: [], learners: ['n2'] }])
  driver.transfer(undefined, 1000, done)
  clock.advance(10)
  expect(said('^leadership transfer refused: .')).toEqual([{ outcome: 'refused' }])
  storage.compact = () => {}
  levers.freeBytes = driverLimits.diskReserveBytes - 1
  clock.advance(driverLimits.diskLookMs)
  expect(said(/nearly full \(255 MiB free\): deletes are taken/)).toEqual([
    { state: 'low', freeBytes: driverLimits.diskReserveBytes - 1 },
  ])
  levers.freeBytes = Number.POSITIVE_INFINITY
  clock.advance(driverLimits.diskLookMs)
  expect(said('the disk has space again')).toEqual([{ state: 'enough', freeBytes: Number.POSITIVE_INFINITY }])
  driver.events.stop('that is enough')
  expect(said('^stopping: that is enough')).toEqual([{ err: new Error('that is enough') }])
  expect(ends).toHaveLength(1)
})

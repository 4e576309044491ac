// A disk that fills up: changes are refused while there is still room for deletes, reads continue, and the cluster
// recovers when there is room again.

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { DirectoryDisk } from '../../../src/server/node/directory-disk.ts'
import type { Disk } from '../../../src/server/node/disk.ts'
import type { DiskSpaceState } from '../../../src/server/node/disk-space/disk-space.ts'
import { DiskSpace } from '../../../src/server/node/disk-space/disk-space.ts'
import { driverLimits, raftTiming } from '../../../src/server/node/limits.ts'
import { type Promised, SimulatedCluster } from '../simulated-cluster.ts'
import { VirtualClock } from '../virtual-clock.ts'

const { diskReserveBytes, diskCheckMs } = driverLimits
const LOW = diskReserveBytes / 2
const NONE = diskReserveBytes / 8

function settled<T>(cluster: SimulatedCluster, promised: Promised<T>): Promised<T> {
  cluster.until(() => promised.result !== undefined)
  return promised
}

const SHORT_LOG = { logTailEntries: 10, compactEntriesMin: 10, logBehindEntries: 20 }
const CHANGES = 50

/** A follower that is down and needs a snapshot. It has applied fewer than CHANGES entries. */
function leaveBehind(cluster: SimulatedCluster, follower = cluster.follower): typeof follower {
  follower.crash()
  for (let round = 0; round < CHANGES; round++) settled(cluster, cluster.leading.put(`k${round}`, 'v'))
  cluster.advance(1000)
  return follower
}

/** Only the leader knows that every node refuses changes; a follower without room does not forward them. */
const refusalOf = (cluster: SimulatedCluster, node: SimulatedCluster['leading']): string =>
  node === cluster.leading || node.machine.space.fixed === undefined ? 'storage_full' : 'overloaded'

test('a single node refuses puts and takes deletes and reads while its disk is low, and puts again when there is room', () => {
  const cluster = SimulatedCluster.formed(1)
  const { leading } = cluster
  settled(cluster, leading.put('a', 'old'))
  leading.machine.space.fixed = LOW
  cluster.advance(diskCheckMs)
  const refused = settled(cluster, leading.put('b', 'new'))
  expect(refused.result).toMatchObject({
    ok: false,
    problem: { code: 'storage_full', written: 'no', detail: expect.stringMatching(/nearly full/) },
  })
  expect(leading.running.status().errors).toMatchObject([
    expect.stringMatching(/disk is nearly full \(128 MiB/),
  ])
  expect(settled(cluster, leading.read('a')).value).toBe('old')
  expect(settled(cluster, leading.remove('a')).value).toMatchObject({ kind: 'delete', deleted: 1 })
  const both = settled(cluster, leading.batch([['a'], ['c', 'new']]))
  expect(both.code).toBe('storage_full')
  expect(settled(cluster, leading.batch([['a'], ['c']])).value).toMatchObject({
    outcomes: [{ deleted: 0 }, { deleted: 0 }],
  })
  leading.machine.space.fixed = NONE
  cluster.advance(diskCheckMs)
  expect(settled(cluster, leading.batch([['b'], ['c']])).code).toBe('storage_full')
  expect(settled(cluster, leading.remove('b')).code).toBe('storage_full')
  expect(settled(cluster, leading.read('a')).value).toBeUndefined()
  leading.machine.space.fixed = 2 * diskReserveBytes
  cluster.advance(diskCheckMs)
  expect(settled(cluster, leading.put('b', 'new')).code).toBe('ok')
  expect(leading.running.status().errors).toEqual([])
})

test('with one full disk of three the cluster goes on, led by a node that has room', () => {
  const cluster = SimulatedCluster.formed(3)
  const { leading } = cluster
  leading.machine.space.fixed = NONE
  cluster.until(() => cluster.leader !== undefined && cluster.leader.machine !== leading.machine)
  for (const node of cluster.nodes) {
    // A node that cannot write an entry cannot report its outcome either. A client retries at other nodes.
    const expected = node === leading ? 'overloaded' : 'ok'
    expect(settled(cluster, node.put('k', node.name)).code).toBe(expected)
  }
  cluster.advance(3000)
  const { lastIndex } = leading.running.status().raft
  expect(lastIndex).toBeLessThan(cluster.leading.running.status().raft.lastIndex)
  leading.machine.space.fixed = undefined
  cluster.converge()
  expect(leading.running.status().raft.lastIndex).toBeGreaterThan(lastIndex)
})

test('a read through a node whose full disk lacks what is committed is told so long before its time is over', () => {
  const cluster = SimulatedCluster.formed(3)
  const { follower } = cluster
  follower.machine.space.fixed = NONE
  cluster.advance(2 * diskCheckMs)
  settled(cluster, cluster.leading.put('k', 'v'))
  const began = cluster.time.now
  expect(settled(cluster, follower.read('k')).code).toBe('not_ready')
  expect(cluster.time.now - began).toBeLessThan(500)
})

test.each([2, 3])('where %i of three disks are full reads go on, under any leader', (count) => {
  const cluster = SimulatedCluster.formed(3)
  settled(cluster, cluster.leading.put('k', 'v'))
  const full = [...cluster.followers, cluster.leading].slice(0, count)
  for (const { machine } of full) machine.space.fixed = NONE
  cluster.advance(2 * diskCheckMs)
  const { leading } = cluster
  leading.crash()
  cluster.until(() => cluster.leader !== undefined)
  leading.start()
  cluster.until(() => leading.driver?.leaderName !== undefined)
  for (const node of cluster.nodes) {
    expect(settled(cluster, node.read('k')).value).toBe('v')
    expect(settled(cluster, node.put('k', 'w')).code).toBe(refusalOf(cluster, node))
  }
})

test('reads go on also where the one that leads next cannot commit, since a full disk has no room for what is committed', () => {
  const cluster = SimulatedCluster.formed(3)
  const { leading: first, follower: full } = cluster
  full.machine.space.fixed = NONE
  cluster.advance(diskCheckMs)
  expect(settled(cluster, first.put('k', 'v')).code).toBe('ok')
  // The third node learns of the commit, too.
  cluster.advance(100)
  first.crash()
  cluster.until(() => cluster.leader !== undefined)
  expect(settled(cluster, cluster.leading.read('k')).value).toBe('v')
})

test('a leader that is short hands over once, and not again within a minute', () => {
  const cluster = SimulatedCluster.formed(3)
  for (const { machine } of cluster.nodes) machine.space.fixed = LOW
  const { term } = cluster.leading.running
  cluster.advance(50_000)
  // Each of the three nodes has handed over once.
  const later = cluster.leading.running.term
  expect(later).toBeGreaterThan(term)
  expect(later).toBeLessThanOrEqual(term + 3)
  expect(settled(cluster, cluster.leading.put('k', 'v')).code).toBe('storage_full')
  expect(settled(cluster, cluster.leading.remove('k')).code).toBe('ok')
  expect(cluster.leading.running.term).toBe(later)
  cluster.advance(60_000)
  expect(cluster.leading.running.term).toBeGreaterThan(later)
})

test('with two full disks of three a leader with space keeps leading, and reads go on', () => {
  const cluster = SimulatedCluster.formed(3)
  settled(cluster, cluster.leading.put('k', 'v'))
  for (const { machine } of cluster.followers) machine.space.fixed = NONE
  cluster.advance(2 * diskCheckMs)
  for (const node of cluster.nodes) expect(settled(cluster, node.read('k')).value).toBe('v')
  for (const node of cluster.followers) expect(settled(cluster, node.put('k', 'w')).code).toBe('overloaded')
  // No majority can write it, and only the timeout shows that.
  expect(settled(cluster, cluster.leading.put('k', 'w')).code).toBe('outcome_unknown')
  for (const { machine } of cluster.followers) machine.space.fixed = undefined
  cluster.advance(2 * diskCheckMs)
  for (const node of cluster.nodes) expect(settled(cluster, node.put('k', node.name)).code).toBe('ok')
})

test('no snapshot is taken on without room for it', () => {
  const cluster = SimulatedCluster.formed(3, { limits: SHORT_LOG })
  const follower = leaveBehind(cluster)
  follower.machine.space.fixed = LOW
  follower.start()
  cluster.advance(5000)
  expect(follower.running.status().raft.applied).toBeLessThan(CHANGES)
  follower.machine.space.fixed = undefined
  cluster.converge()
})

test.each([
  ['enough', undefined],
  ['none', NONE],
])('a lost node whose room was %s is replaced although the disk of the leader is full', (_room, free) => {
  const cluster = SimulatedCluster.formed(3)
  const { leading, follower } = cluster
  follower.machine.space.fixed = free
  cluster.advance(diskCheckMs)
  follower.crash()
  cluster.advance(raftTiming.electionMaxMs)
  leading.machine.space.fixed = NONE
  follower.machine.space.fixed = undefined
  cluster.advance(diskCheckMs)
  cluster.join(follower.machine)
  const isVoter = (): boolean => leading.running.configuration.voters.includes(follower.id)
  cluster.until(() => isVoter() && cluster.leader !== undefined && cluster.leading !== leading)
  expect(settled(cluster, cluster.leading.put('k', 'v')).code).toBe('ok')
})

test('a new leader with little room refuses nothing before the others had time to tell that they have more', () => {
  const cluster = SimulatedCluster.formed(3)
  const { follower } = cluster
  follower.machine.space.fixed = LOW
  cluster.advance(diskCheckMs)
  cluster.leading.running.transfer(follower.id, 1000, () => {})
  cluster.until(() => follower.running.status().raft.role === 'leader')
  const changes = cluster.nodes.map((node) => node.put('k', 'v'))
  for (const done of changes) expect(settled(cluster, done).code).toBe('ok')
})

test('a node with little room passes on what waits for a leader as soon as it follows that one', () => {
  const cluster = SimulatedCluster.formed(3)
  const { follower } = cluster
  follower.machine.space.fixed = LOW
  cluster.advance(diskCheckMs)
  cluster.isolate(follower)
  cluster.advance(2 * raftTiming.electionMaxMs)
  const changes = [follower.put('k', 'v'), follower.remove('k')]
  cluster.heal()
  for (const done of changes) expect(settled(cluster, done).code).toBe('ok')
})

test('a node with too little room for the snapshot that it needs leaves nobody waiting: others can serve them', () => {
  const cluster = SimulatedCluster.formed(3, { limits: SHORT_LOG })
  const { follower } = cluster
  follower.machine.space.fixed = LOW
  cluster.advance(diskCheckMs)
  // While its log has every committed entry, it forwards changes to nodes that have room.
  for (const done of [follower.put('k', 'v'), follower.remove('k')])
    expect(settled(cluster, done).code).toBe('ok')
  leaveBehind(cluster, follower).start()
  cluster.until(() => follower.driver?.leaderName !== undefined)
  cluster.advance(raftTiming.electionMaxMs)
  const began = cluster.time.now
  expect(settled(cluster, follower.put('k', 'v')).code).toBe('overloaded')
  expect(settled(cluster, follower.read('k')).code).toBe('not_ready')
  expect(cluster.time.now - began).toBeLessThan(500)
})

test.each([
  ['low', LOW],
  // Compaction, which also abandons the snapshot, does not begin.
  ['low and too little to compact', 0.4 * diskReserveBytes],
  ['none', NONE],
])(
  'a snapshot that is arriving is given up when room is %s, and comes again when there is enough',
  (_room, free) => {
    const cluster = SimulatedCluster.formed(3, { limits: { ...SHORT_LOG, chunkRows: 1 } })
    const follower = leaveBehind(cluster)
    follower.start()
    follower.slowDisk(200)
    cluster.until(() => (follower.driver?.inspect()['links.receiving'] ?? 0) > 0)
    follower.machine.space.fixed = free
    cluster.until(() => follower.running.inspect()['links.receiving'] === 0)
    // A complete snapshot would be installed by then.
    cluster.advance(5000)
    expect(follower.running.status().raft.applied).toBeLessThan(CHANGES)
    follower.machine.space.fixed = undefined
    cluster.converge()
    expect(follower.running.status().raft.applied).toBeGreaterThan(CHANGES)
  },
)

test('what a snapshot brings counts as written: the end of room is seen while it arrives', () => {
  const cluster = SimulatedCluster.formed(3, { limits: { ...SHORT_LOG, chunkRows: 1 } })
  const follower = leaveBehind(cluster)
  follower.machine.space.fixed = diskReserveBytes + 1000
  follower.start()
  cluster.until(() => (follower.driver?.inspect()['links.receiving'] ?? 0) > 0)
  const began = cluster.time.now
  follower.machine.space.fixed = NONE
  cluster.until(() => follower.running.inspect()['links.receiving'] === 0)
  expect(cluster.time.now - began).toBeLessThan(diskCheckMs)
  expect(follower.running.status()).toMatchObject({
    diskSpace: 'none',
    raft: { applied: expect.toSatisfy((index) => index < CHANGES) },
  })
  follower.machine.space.fixed = undefined
  cluster.converge()
})

test('room that ends in the middle of a turn is told to the core after what the turn has to write and to send', () => {
  const cluster = SimulatedCluster.formed(3)
  const { leading } = cluster
  leading.machine.space.fixed = diskReserveBytes + 64
  cluster.advance(diskCheckMs)
  leading.machine.space.fixed = LOW
  const before = cluster.sent.length
  const put = settled(cluster, leading.put('k', 'v'.repeat(100)))
  expect(put.code).toBe('ok')
  cluster.until(() => cluster.sent.slice(before).some(({ type }) => type === 'timeout-now'))
  const types = cluster.sent.slice(before).map(({ type }) => type)
  expect(types.indexOf('append')).toBeLessThan(types.indexOf('timeout-now'))
  expect(types).not.toContain('append-rejected')
  cluster.converge()
})

class FakeDisk implements Disk {
  free = Number.POSITIVE_INFINITY
  reserve = 0
  looks = 0
  freeBytes(): number {
    this.looks++
    return this.free - this.reserve
  }
  get hasReserve(): boolean {
    return this.reserve > 0
  }
  takeReserve(bytes: number): void {
    this.reserve = bytes
  }
  giveBackReserve(): void {
    this.reserve = 0
  }
}

function watched() {
  const clock = new VirtualClock()
  const disk = new FakeDisk()
  const rooms: DiskSpaceState[] = []
  const limits = { ...driverLimits, diskReserveBytes: 800 }
  const compactions: (() => void)[] = []
  const isRoom: (() => boolean)[] = []
  const scansEnded = { times: 0 }
  const space = new DiskSpace(clock, limits, disk, {
    changed: (room) => rooms.push(room),
    compact: (done, hasRoom) => {
      compactions.push(done)
      isRoom.push(hasRoom)
    },
    endOldScans: () => scansEnded.times++,
  })
  const at = (free: number): void => {
    disk.free = free
    clock.advance(diskCheckMs)
  }
  space.start()
  return { clock, disk, rooms, space, at, compactions, isRoom, scansEnded }
}

test('room that comes and goes by a little changes nothing: it is back only well above the bound', () => {
  const { rooms, at } = watched()
  for (const free of [801, 799, 801, 879, 799, 881]) at(free)
  expect(rooms).toEqual(['low', 'enough'])
  for (const free of [199, 201, 219, 221, 881]) at(free)
  expect(rooms.slice(2)).toEqual(['none', 'low', 'enough'])
})

test('a part is kept once space grows short, and given back before the last is gone', () => {
  const { rooms, disk, at } = watched()
  at(10_000)
  expect(disk.reserve).toBe(0)
  at(3000)
  expect(disk.reserve).toBe(100)
  at(400)
  expect({ reserve: disk.reserve, rooms }).toEqual({ reserve: 100, rooms: ['low'] })
  // 190 free beside the reserve file, 290 without it.
  at(290)
  expect({ reserve: disk.reserve, rooms }).toEqual({ reserve: 0, rooms: ['low'] })
  at(150)
  expect(rooms).toEqual(['low', 'none'])
  at(3000)
  expect({ reserve: disk.reserve, rooms }).toEqual({ reserve: 100, rooms: ['low', 'none', 'enough'] })
})

test('nothing is compacted where no room is left for it', () => {
  const { clock, at, compactions } = watched()
  for (const free of [150, 300, 399]) {
    at(free)
    clock.advance(2 * driverLimits.diskCompactMs)
    expect(compactions).toHaveLength(0)
  }
  at(400)
  expect(compactions).toHaveLength(1)
})

test('LevelDB goes on compacting only while half of the reserve is left, at each piece', () => {
  const { disk, at, isRoom } = watched()
  at(700)
  const told = [399, 400, 120, 10_000].map((free) => {
    disk.free = free
    return isRoom[0]?.()
  })
  expect(told).toEqual([false, true, false, true])
})

test('while it is short what was deleted is given back, one compaction after the other with pauses', () => {
  const { clock, at, compactions } = watched()
  at(10_000)
  expect(compactions).toHaveLength(0)
  at(700)
  expect(compactions).toHaveLength(1)
  clock.advance(2 * driverLimits.diskCompactMs)
  expect(compactions).toHaveLength(1)
  compactions[0]?.()
  clock.advance(driverLimits.diskCompactMs - diskCheckMs)
  expect(compactions).toHaveLength(1)
  clock.advance(diskCheckMs)
  expect(compactions).toHaveLength(2)
  compactions[1]?.()
  at(10_000)
  clock.advance(2 * driverLimits.diskCompactMs)
  expect(compactions).toHaveLength(2)
})

test('while there is little room scans are ended, and more often while LevelDB compacts', () => {
  const { clock, at, space, compactions, scansEnded } = watched()
  const endedIn = (ms: number): number => {
    const before = scansEnded.times
    clock.advance(ms)
    return scansEnded.times - before
  }
  expect(endedIn(3 * diskCheckMs)).toBe(0)
  at(150)
  expect(scansEnded.times).toBe(1)
  expect(endedIn(3 * diskCheckMs)).toBe(3)
  at(700)
  expect(scansEnded.times).toBe(4)
  expect(endedIn(1000)).toBe(10)
  compactions[0]?.()
  // No scan is ended, so a snapshot can be sent.
  expect(endedIn(3 * diskCheckMs)).toBe(0)
  at(399)
  expect(endedIn(3 * diskCheckMs)).toBe(3)
  at(10_000)
  expect(endedIn(3 * diskCheckMs)).toBe(0)
  at(700)
  clock.advance(driverLimits.diskCompactMs)
  expect([compactions.length, endedIn(1000)]).toEqual([2, 10])
  // LevelDB continues to compact, for minutes on a large store, and there is room for the data that it replaces.
  at(3201)
  expect(endedIn(3 * diskCheckMs)).toBe(0)
  at(3199)
  expect(endedIn(1000)).toBe(10)
  space.stop()
  expect(endedIn(3 * diskCheckMs)).toBe(0)
})

test('a file that cannot be given back ends nobody: what is wrong with the directory the storage finds out', () => {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-reserve-'))
  try {
    mkdirSync(join(dir, 'RESERVE'))
    const disk = new DirectoryDisk(dir)
    disk.giveBackReserve()
    expect(disk.hasReserve).toBe(true)
  } finally {
    rmSync(dir, { recursive: true })
  }
})

test('what is kept is a file of that size, written out, and giving it back takes it away', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-reserve-'))
  try {
    const disk = new DirectoryDisk(dir)
    const file = join(dir, 'RESERVE')
    expect(disk.hasReserve).toBe(false)
    disk.giveBackReserve()
    expect(disk.freeBytes()).toBeGreaterThan(0)
    expect(Number.isFinite(disk.freeBytes())).toBe(true)
    const bytes = 2.5 * 1024 * 1024
    disk.takeReserve(bytes)
    await expect.poll(() => existsSync(file) && statSync(file).size).toBe(bytes)
    const { blocks, blksize } = statSync(file)
    expect(blksize).toBeGreaterThan(0)
    expect(blocks * 512).toBeGreaterThanOrEqual(bytes)
    expect(disk.hasReserve).toBe(true)
    disk.giveBackReserve()
    expect([disk.hasReserve, existsSync(file)]).toEqual([false, false])
  } finally {
    rmSync(dir, { recursive: true })
  }
})

test('where nothing is to be kept free there is always room, and no file', () => {
  const clock = new VirtualClock()
  const disk = new FakeDisk()
  const rooms: DiskSpaceState[] = []
  const space = new DiskSpace(clock, { ...driverLimits, diskReserveBytes: 0 }, disk, {
    changed: (room) => rooms.push(room),
    compact: () => {},
    endOldScans: () => expect.unreachable('there is room'),
  })
  disk.free = 0
  space.start()
  clock.advance(10 * diskCheckMs)
  expect([rooms, disk.reserve, space.freeBytes]).toEqual([[], 0, 0])
})

test('a file that cannot be written is given back, and is not left open', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-reserve-'))
  try {
    const file = join(dir, 'RESERVE')
    // The device accepts no bytes.
    symlinkSync('/dev/full', file)
    const disk = new DirectoryDisk(dir)
    disk.takeReserve(10)
    while (disk.hasReserve) await new Promise(setImmediate)
    disk.takeReserve(10)
    while (!existsSync(file) || statSync(file).size < 10) await new Promise(setImmediate)
    const isOpen = (): boolean =>
      readdirSync('/proc/self/fd').some((fd) => {
        try {
          return readlinkSync(join('/proc/self/fd', fd)) === file
        } catch {
          return false
        }
      })
    while (isOpen()) await new Promise(setImmediate)
  } finally {
    rmSync(dir, { recursive: true })
  }
})

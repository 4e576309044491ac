// The turns of reads: each way in which a read ends, before and after its turn. Afterwards as many have their turn at a
// time as before.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Api } from '../../../src/server/api/api.ts'
import {
  LaterTurn,
  NoTurnError,
  ReadTurns,
  readInTurn,
  turnsOf,
} from '../../../src/server/etcd/read-turns.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => void vi.useRealTimers())

/** Scans that are open at a time. A read has three, and so has a stream. */
const RANGES_MAX = 12
const TURNS = 2
const DEADLINE_MS = 1_000
/** Time of an operation. */
const OPERATION_MS = 7_000
/** Longest wait of a client that states no time. */
const WAIT_MS_MAX = 60_000

const turnsFor = (rangesMax: number): ReadTurns =>
  new ReadTurns(turnsOf({ limits: { rangesMax } } as unknown as Api).reads)

/** A read of a call, which lasts until it is ended. */
class Read {
  state = 'waits'
  /** The time of its operation when its turn has come. */
  leftMs: number | undefined
  readonly #leavers = new Set<() => void>()
  readonly #result = Promise.withResolvers<void>()

  /** `callMs`: how long its client waits. */
  constructor(readTurns: ReadTurns, callMs = DEADLINE_MS) {
    const call = {
      endsAt: performance.now() + callMs,
      nextDeadline: () => performance.now() + OPERATION_MS,
      etcd: { readTurns },
      whenOver: (run: () => void) => {
        this.#leavers.add(run)
        return () => void this.#leavers.delete(run)
      },
    }
    const read = (deadline: number): Promise<void> => {
      this.state = 'reads'
      this.leftMs = deadline - performance.now()
      return this.#result.promise
    }
    readInTurn(call, read).then(
      () => (this.state = 'read'),
      (error: Error) => (this.state = error.message),
    )
  }

  /** Number of functions that are called when its client leaves. */
  get leavers(): number {
    return this.#leavers.size
  }

  leave(): void {
    for (const run of [...this.#leavers]) run()
  }

  end(): void {
    this.#result.resolve()
  }

  fail(): void {
    this.#result.reject(new Error('it fails'))
  }
}

/** Promises that are settled have been followed. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve()
}

const statesOf = (reads: readonly Read[]): string[] => reads.map(({ state }) => state)

const ENDINGS: Readonly<Record<string, (reads: readonly Read[]) => void>> = {
  'are answered': (reads) => {
    for (const read of reads) read.end()
  },
  fail: (reads) => {
    for (const read of reads) read.fail()
  },
  'lose their clients': (reads) => {
    for (const read of reads) read.leave()
    for (const read of reads) read.end()
  },
  'lose the clients of those that read, then of the others': (reads) => {
    for (const read of reads.slice(0, TURNS)) read.fail()
    for (const read of reads.slice(TURNS)) read.leave()
    for (const read of reads) read.end()
  },
  'are late': (reads) => {
    vi.advanceTimersByTime(DEADLINE_MS)
    for (const read of reads) read.end()
  },
  'are late when their turn comes': (reads) => {
    for (const read of reads.slice(0, TURNS)) read.end()
    vi.advanceTimersByTime(DEADLINE_MS)
    for (const read of reads) read.end()
  },
}

test.each(Object.entries(ENDINGS))('reads that %s give their turns back', async (_, end) => {
  const turns = turnsFor(RANGES_MAX)
  for (let round = 0; round < 5; round++) {
    const reads = Array.from({ length: 7 }, () => new Read(turns))
    await settle()
    expect(statesOf(reads)).toEqual(['reads', 'reads', 'waits', 'waits', 'waits', 'waits', 'waits'])
    end(reads)
    // The last of them has its turn after the others.
    for (let turn = 0; turn < reads.length; turn++) {
      await settle()
      for (const read of reads) if (read.state === 'reads') read.end()
    }
    expect(statesOf(reads).filter((state) => state === 'waits' || state === 'reads')).toEqual([])
    expect([vi.getTimerCount(), ...reads.map(({ leavers }) => leavers)]).toEqual(Array(8).fill(0))
  }
  const [first, second, third] = [new Read(turns), new Read(turns), new Read(turns)]
  await settle()
  expect(statesOf([first, second, third])).toEqual(['reads', 'reads', 'waits'])
  second.end()
  await settle()
  expect(statesOf([first, second, third])).toEqual(['reads', 'read', 'reads'])
})

test('a read waits as long as its client, and then has the whole time of an operation', async () => {
  const turns = turnsFor(1)
  const first = new Read(turns)
  await settle()
  const [slow, quick] = [new Read(turns, 60_000), new Read(turns, 2_000)]
  vi.advanceTimersByTime(OPERATION_MS + 3_000)
  await settle()
  expect(statesOf([first, slow, quick])).toEqual(['reads', 'waits', 'etcdserver: request timed out'])
  first.end()
  await settle()
  expect([first.state, slow.state, slow.leftMs]).toEqual(['read', 'reads', OPERATION_MS])
  // It reads as long as it takes.
  vi.advanceTimersByTime(WAIT_MS_MAX)
  await settle()
  expect(slow.state).toBe('reads')
  slow.end()
  await settle()
  expect(slow.state).toBe('read')
})

test('a read whose client states no time waits a minute', async () => {
  const turns = turnsFor(1)
  const reads = [new Read(turns), new Read(turns, Number.POSITIVE_INFINITY)]
  vi.advanceTimersByTime(WAIT_MS_MAX - 1)
  await settle()
  expect(statesOf(reads)).toEqual(['reads', 'waits'])
  vi.advanceTimersByTime(1)
  await settle()
  expect(statesOf(reads)).toEqual(['reads', 'etcdserver: request timed out'])
})

test('a turn that is left twice is free for one read', () => {
  const turns = new ReadTurns(1)
  const leave = turns.tryEnter()
  expect(turns.tryEnter()).toBeUndefined()
  leave?.()
  leave?.()
  expect(turns.tryEnter()).toBeDefined()
  expect(turns.tryEnter()).toBeUndefined()
})

test('a turn that cannot begin gives the memory of its call back, and one that begins does not', () => {
  const turns = new ReadTurns(1)
  const call = { giveBack: vi.fn() }
  const [first, second] = [new LaterTurn(turns), new LaterTurn(turns)]
  // It begins once.
  for (let at = 0; at < 2; at++) first.begin(call, 5)
  expect(() => second.begin(call, 7)).toThrow(NoTurnError)
  expect(call.giveBack.mock.calls).toEqual([[7]])
  expect([first.hasBegun, second.hasBegun]).toEqual([true, false])
  for (let at = 0; at < 2; at++) first.leave()
  second.begin(call, 7)
  expect(call.giveBack).toHaveBeenCalledTimes(1)
  expect(() => first.begin(call, 1)).toThrow(NoTurnError)
})

// Clients of the whole store: they reach what they should under faults, and a node that is wrong about watches, leases
// or history is found.

import { describe, expect, test } from 'vitest'
import { NOTHING_RARE } from '../../../jepsen-lite/sim/coverage.ts'
import { generate, judged, type Schedule, Search } from '../../../jepsen-lite/sim/index.ts'
import { STORE_OPS } from '../../../jepsen-lite/sim/schedule/schedule.ts'
import type { SimCluster } from '../../../jepsen-lite/sim/world/cluster.ts'
import { usualLimits } from '../../../jepsen-lite/sim/world/node-limits.ts'
import { asRevision } from '../../../src/operations/forms/index.ts'
import { Driver } from '../../../src/server/node/driver.ts'
import type { EventsMessage, WatchSink } from '../../../src/server/node/watch/index.ts'

interface Defect {
  readonly sink?: (right: WatchSink) => WatchSink
  readonly list?: (options: Parameters<Driver['list']>[0]) => Parameters<Driver['list']>[0]
  readonly keepAlive?: (right: number | undefined) => number | undefined
  readonly lease?: (right: ReturnType<Driver['lease']>) => ReturnType<Driver['lease']>
}

const withDefect =
  (defect: Defect) =>
  (cluster: SimCluster): void => {
    class DefectiveDriver extends Driver {
      override watch(...[request, sink]: Parameters<Driver['watch']>): ReturnType<Driver['watch']> {
        return super.watch(request, defect.sink?.(sink) ?? sink)
      }
      override list(options: Parameters<Driver['list']>[0]): ReturnType<Driver['list']> {
        return super.list(defect.list?.(options) ?? options)
      }
      override keepAlive(...[ids, timeoutMs, done]: Parameters<Driver['keepAlive']>): void {
        const { keepAlive } = defect
        super.keepAlive(ids, timeoutMs, (result) =>
          done(
            result.ok && keepAlive !== undefined ? { ok: true, value: result.value.map(keepAlive) } : result,
          ),
        )
      }
      override lease(...[id]: Parameters<Driver['lease']>): ReturnType<Driver['lease']> {
        const right = super.lease(id)
        return defect.lease === undefined ? right : defect.lease(right)
      }
    }
    cluster.createDriver = (options) => new DefectiveDriver(options)
  }

/** All requests, in turn, and no faults. */
function calm(from: number): Schedule {
  const { config, ...rest } = generate(1, 3)
  const usual = {
    ...{ heartbeatMs: 100, electionMinMs: 500, electionMaxMs: 1000, harsh: 0, lost: 0, doubled: 0 },
  }
  // Nobody ends a lease, so that there are always some.
  const others = STORE_OPS.filter((kind) => kind !== 'revoke')
  const kinds = ['put', ...others, 'append', 'attach', 'keep-alive', 'read-at'] as const
  return {
    ...rest,
    config: {
      ...{
        ...config,
        ...usual,
        nodes: 3,
        spares: 0,
        grow: 0,
        ms: 12_000,
        delayMs: 0.2,
        jitterMs: 0.3,
        tail: 0,
      },
      ...{
        clocks: 0,
        leases: 0,
        writeMs: 0.5,
        writeJitterMs: 1,
        readMs: 0.1,
        keys: 4,
        clients: 3,
        timeoutMs: 1000,
      },
      limits: usualLimits,
    },
    ops: Array.from({ length: 300 }, (_, at) => ({
      ...{ at: 1500 + 30 * at, kind: kinds[(at * 5) % kinds.length] ?? 'put', client: at % 3, node: at % 3 },
      ...{ key: at % 4, x: from + 977 * at },
    })),
    faults: [],
  }
}
const CALM: readonly Schedule[] = [calm(1), calm(2)]

/** The rule that is broken in the first of the schedules that breaks one. */
function found(defect: Defect): string | undefined {
  for (const schedule of CALM) {
    const { violation } = judged(schedule, withDefect(defect))
    if (violation !== undefined) return violation.invariant
  }
  return undefined
}

test('what the clients of the store reach is much, under faults too', () => {
  const search = new Search(3)
  for (const seed of [19, 584]) search.run(seed, NOTHING_RARE)
  expect(search.found).toEqual([])
  const { probes } = search.probeCoverage
  for (const probe of [
    'transaction succeeded',
    'refused for the keys of its ranges or lease',
    'request to the whole store refused as full',
    'read at an earlier revision',
    'lease kept alive',
    'key attached to a lease',
    'lease expired',
    'lease ended under another leader than it began',
    'watch begun',
    'watch begun at a revision',
    'watch continues at another node',
    'watch waits for a slow client',
    'watch overtaken by compaction',
  ])
    expect(probes[probe], probe).toBeGreaterThan(0)
})

test('a right node is not found, and list-append transactions leave a history of their own', () => {
  for (const schedule of CALM) {
    const { violation, history, transactions } = judged(schedule)
    expect(violation).toBeUndefined()
    const numbers = new Set(
      transactions.flatMap((event) => (event.type === 'invoke' ? [event.transaction] : [])),
    )
    expect(numbers.size).toBeGreaterThan(5)
    expect(transactions.some((event) => event.type === 'invoke' && event.op.f === 'append')).toBe(true)
    expect(JSON.stringify(history)).not.toContain('"key":"a0"')
  }
})

describe('a node is found that', () => {
  const wrapped = (sink: WatchSink, events: (message: EventsMessage) => void): WatchSink => ({
    get isFull() {
      return sink.isFull
    },
    waits: () => sink.waits(),
    events,
    progress: (revision) => sink.progress(revision),
    ended: (end) => sink.ended(end),
  })

  test('leaves out an event of a watch now and then', () => {
    const rule = found({
      sink: (sink) => wrapped(sink, (message) => void (message.revision % 7 > 0 && sink.events(message))),
    })
    expect(rule).toMatch(/^WATCH-[123]$/)
  })

  test('tells the events of watches twice', () => {
    const twice = (sink: WatchSink) =>
      wrapped(sink, (message) => {
        sink.events(message)
        sink.events(message)
      })
    expect(found({ sink: twice })).toBe('WATCH-1')
  })

  test('tells a progress that is ahead', () => {
    const ahead = (sink: WatchSink): WatchSink => ({
      ...wrapped(sink, (message) => {
        sink.progress(message.revision)
        sink.events(message)
      }),
    })
    expect(found({ sink: ahead })).toBe('WATCH-2')
  })

  test('promises too long a life to leases that are kept alive', () => {
    expect(found({ keepAlive: (ttlMs) => ttlMs && 20 * ttlMs })).toBe('KV-24')
  })

  test('says of a lease that lives that there is none', () => {
    expect(found({ keepAlive: () => undefined })).toBe('KV-24')
    expect(found({ lease: () => undefined })).toBe('KV-23')
  })

  test('reads another revision than it was asked for', () => {
    const before = (options: Parameters<Driver['list']>[0]) => {
      const { revision } = options
      return revision === undefined || revision < 3
        ? options
        : { ...options, revision: asRevision(revision - 1) }
    }
    expect(found({ list: before })).toBe('KV-20')
  })
})

// docs/reference matches the code: limits, error codes and metrics are compared one by one.

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { BOUND_NAMES, COUNTER_BOUNDS, parseTerms } from '../../jepsen-lite/sim/oracle/counter-bounds.ts'
import { BYTES_AT_ONCE, WRITES_MAX } from '../../src/cli/commands/import.ts'
import { LINE_BYTES_MAX } from '../../src/cli/transfer/import-lines.ts'
import { BATCH_BYTES_MAX, BATCH_CHANGES_MAX } from '../../src/client/change-batches.ts'
import { CALLS_MAX } from '../../src/client/client.ts'
import {
  COPIES_MIN,
  COPIES_SHARE,
  READS_AT_LEADER,
  TOKENS_MIN,
  TOKENS_PER_CALL,
  TOKENS_PER_SECOND,
} from '../../src/client/retry-policy.ts'
import { DEFAULT_SETTINGS } from '../../src/kv/index.ts'
import { PROBLEMS } from '../../src/operations/forms/index.ts'
import { CLUSTER_VERSION, SETTING_LIMITS } from '../../src/operations/forms/settings.ts'
import { WAITING_READS_MAX } from '../../src/raft/index.ts'
import { httpLimits } from '../../src/server/listener/limits.ts'
import { keyIndexLimits } from '../../src/server/node/key-index/key-index.ts'
import { driverLimits, raftLimits, raftTiming } from '../../src/server/node/limits.ts'
import { Metrics } from '../../src/server/node/observe/metrics.ts'
import { PREV_BYTES_MAX } from '../../src/server/node/watch/index.ts'
import { LINK_LIMITS } from '../../src/server/peers/limits.ts'
import { levelLimits } from '../../src/storage/level/level-engine.ts'
import { storeLimits } from '../../src/storage/store.ts'
import { FakeNode, NO_WATCHES } from './http/fake-node.ts'

const page = (name: string): string =>
  readFileSync(join(import.meta.dirname, '../../docs/reference', name), 'utf8')

const UNITS: Readonly<Record<string, number>> = {
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
  PiB: 2 ** 50,
  ms: 1,
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** '64 KiB', '5 s', '1000'. */
function quantity(text: string): number {
  const [, amount, unit] = /^([0-9.]+)(?: (\w+))?$/.exec(text.trim()) ?? []
  return Number(amount) * (unit === undefined ? 1 : (UNITS[unit] ?? Number.NaN))
}

/** All constants of src/kv and src/operations that are limits by their names. A constant that is not exported fails. */
async function limitsOfStateMachine(): Promise<Record<string, number>> {
  const limits: Record<string, number> = {}
  for (const file of globSync('src/{kv,operations}/**/*.ts')) {
    const names = [...readFileSync(file, 'utf8').matchAll(/^(?:export )?const ([A-Z_]+_(?:MAX|MIN))\b/gm)]
    if (names.length === 0) continue
    const module: Record<string, number | undefined> = await import(join(process.cwd(), file))
    for (const [, name = ''] of names) limits[name] = module[name] ?? Number.NaN
  }
  return limits
}

const STATE_MACHINE = await limitsOfStateMachine()

/** Rows of the tables below one heading: first cell without its backquotes, then the others. */
function rowsUnder(text: string, heading: string): string[][] {
  const section = text.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? ''
  return [...section.matchAll(/^\| `(\w+)`[^|]*\|(.*)\|$/gm)].map(([, name = '', rest = '']) => [
    name,
    ...rest.split('|').map((cell) => cell.trim()),
  ])
}

describe('docs/reference/limits.md', () => {
  const limits = page('limits.md')

  test.each([
    ['The state machine', STATE_MACHINE],
    ['Requests', { ...httpLimits, PREV_BYTES_MAX }],
    ['One node', driverLimits],
    ['Agreement', { ...raftTiming, ...raftLimits, WAITING_READS_MAX }],
    ['Peers', LINK_LIMITS],
    ['LevelDB', levelLimits],
    ['The store', { ...storeLimits, ...keyIndexLimits }],
    ['Import', { LINE_BYTES_MAX, WRITES_MAX, BYTES_AT_ONCE }],
    [
      'Client',
      {
        BATCH_CHANGES_MAX,
        BATCH_BYTES_MAX,
        CALLS_MAX,
        COPIES_MIN,
        COPIES_SHARE,
        READS_AT_LEADER,
        TOKENS_MIN,
        TOKENS_PER_CALL,
        TOKENS_PER_SECOND,
      },
    ],
  ])('%s', (heading, inCode) => {
    const documented = rowsUnder(limits, heading).map(([name = '', value = '']) => [name, quantity(value)])
    expect(Object.fromEntries(documented)).toEqual(inCode)
  })

  test('Settings of the cluster', () => {
    const documented = rowsUnder(limits, 'Settings of the cluster').filter(([name]) => name !== 'leases')
    const inCode = Object.entries(SETTING_LIMITS).map(([name, { min, max }]) => {
      const snake = name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
      // Versions up to the newest are documented.
      const bounds = name === 'clusterVersion' ? [min, CLUSTER_VERSION] : [min, max]
      return [snake, DEFAULT_SETTINGS[name as keyof typeof DEFAULT_SETTINGS], ...bounds]
    })
    expect(
      documented.map(([name, value = '', range = '']) => [
        name,
        quantity(value),
        ...range.split(' to ').map(quantity),
      ]),
    ).toEqual(inCode)
  })
})

describe('the counters of docs/reference/limits.md', () => {
  const [counters = '', buffers = ''] =
    page('limits.md')
      .split(/^## Counters$/m)[1]
      ?.split(/^## /m) ?? []
  const limits = { ...httpLimits, ...driverLimits, ...raftLimits, ...LINK_LIMITS }
  const stored = { ...storeLimits, ...keyIndexLimits, ...levelLimits }
  const names = new Set([...Object.keys(limits), ...Object.keys(stored), ...BOUND_NAMES])

  test('has the bound of each counter that the simulator checks', () => {
    const documented = [...counters.matchAll(/^\| `([\w.]+)` \| ([^|]+) \|/gm)].map(
      ([, name = '', bound = '']) => [name, bound.replaceAll('`', '').replace(/^the disk$/, 'disk')],
    )
    expect(Object.fromEntries(documented)).toEqual(COUNTER_BOUNDS)
  })

  test('names limits that exist', () => {
    for (const bound of Object.values(COUNTER_BOUNDS)) {
      const [, counter] = /^in ([\w.]+)$/.exec(bound) ?? []
      if (counter !== undefined) expect(COUNTER_BOUNDS).toHaveProperty([counter])
      const unknown = (parseTerms(bound) ?? [])
        .flat()
        .filter((name) => !/^\d+$/.test(name) && !names.has(name))
      expect([bound, unknown]).toEqual([bound, []])
    }
    const cells = [...buffers.matchAll(/^\| [^|]+ \| ([^|]+) \|/gm)].map(([, cell = '']) => cell)
    const named = cells.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, name = '']) => name))
    expect(named.length).toBeGreaterThan(10)
    expect(named.filter((name) => !names.has(name))).toEqual([])
  })
})

test('docs/reference/errors.md has a heading for each code', () => {
  const headings = [...page('errors.md').matchAll(/^### `(\w+)` · (\d+) · exit \d$/gm)]
  const documented = headings.map(([, code = '', status]) => [code, Number(status)])
  const inCode = Object.entries(PROBLEMS).map(([code, { status }]) => [code, status])
  expect(documented.sort()).toEqual(inCode.sort())
})

test('docs/reference/metrics.md has a row for each metric', async () => {
  const metrics = new Metrics()
  const node = new FakeNode()
  const zero = { messagesSent: 0, messagesReceived: 0, messagesDropped: 0, bytesSent: 0, bytesReceived: 0 }
  metrics.watch({
    status: () => node.status(),
    inFlight: () => ({}),
    watches: () => NO_WATCHES,
    peers: () => ({ ...zero, connectionsOpened: 0, connectionsBroken: 0, tlsHandshakesFailed: 0 }),
    databaseDir: import.meta.dirname,
  })
  metrics.watchTls(() => [])
  metrics.watchAudit(() => ({ dropped: 0, skipped: 0 }))
  metrics.watchBackups(1, () => ({ lastSuccessMs: 1, failuresTotal: 0, failure: undefined }))
  metrics.watchHttp(() => ({
    connections: 0,
    fastConnections: 0,
    muxConnections: 0,
    grpcConnections: 0,
    grpcCalls: 0,
    requests: 0,
    operations: 0,
    ranges: 0,
    watchBytes: 0,
    bodyBytes: 0,
    unauthenticatedBytes: 0,
    answerBytes: 0,
    stalledTotal: 0,
    refusedTotal: 0,
    unidentified: 0,
    unidentifiedHeadBytes: 0,
    unidentifiedClosedTotal: 0,
    handshakes: 0,
    handshakesFailedTotal: 0,
  }))
  const types = [...(await metrics.text()).matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, type]) => [
    name,
    type,
  ])
  const documented = [...page('metrics.md').matchAll(/^\| `(\w+)` \| (\w+) \|/gm)].map(([, name, type]) => [
    name,
    type,
  ])
  expect(documented.sort()).toEqual(types.sort())
})

test('whatever a follower may forward finds room in the queue to its leader, twice: a proposal is forwarded once per term', () => {
  expect(LINK_LIMITS.queueBytesMax).toBeGreaterThan(2 * raftLimits.uncommittedBytesMax)
  expect(LINK_LIMITS.queueMessagesMax).toBeGreaterThan(2 * raftLimits.uncommittedEntriesMax)
})

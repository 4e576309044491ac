// The generator of watches: a process of its own. It reads a WatchLoad, begins all watches, and says so. When it reads
// a second line it puts, and reports.

import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from '../../src/client/index.ts'
import { Latencies } from './latencies.ts'
import { BEGUN, keyName } from './load.ts'
import { LAST_EVENTS_MS, WATCHING, type WatchLoad, type WatchReport, watchersOf } from './watch-load.ts'

/** Watches that begin at the same time. */
const TOGETHER = 500
const LOOK_EVERY_MS = 20

const input = createInterface({ input: process.stdin })
input.once('close', () => process.exit(1))
const lines = input[Symbol.asyncIterator]()
const load: WatchLoad = JSON.parse((await lines.next()).value ?? '')

const newClient = (endpoints: readonly string[]) =>
  new Client({ endpoints, discover: false, callsMax: Number.POSITIVE_INFINITY })
const clients = Array.from({ length: load.connections }, (_, number) =>
  newClient([load.endpoints[number % load.endpoints.length] ?? '']),
)
const writer = newClient(load.endpoints)
const latencies = new Latencies()
let countFrom = Number.POSITIVE_INFINITY

const begin = async (watcher: number) => {
  const client = clients[watcher % load.connections] ?? writer
  const watch = client.watch({ key: keyName(watcher % load.watched_keys) })
  await watch.ready
  void (async () => {
    for await (const { events } of watch) {
      for (const event of events) {
        const due = event.type === 'put' ? Number(event.kv.text().trimStart()) : 0
        if (due >= countFrom) latencies.record(performance.now() - due)
      }
    }
  })()
}
for (let from = 0; from < load.watchers; from += TOGETHER) {
  const count = Math.min(TOGETHER, load.watchers - from)
  await Promise.all(Array.from({ length: count }, (_, at) => begin(from + at)))
}
console.log(WATCHING)
await lines.next()

const startedAt = performance.now()
const measuredFrom = startedAt + load.warmup_seconds * 1000
const endsAt = measuredFrom + load.seconds * 1000
const errors = new Map<string, number>()
let puts = 0
let expected = 0
let inFlight = 0
let cpuAtBegin = process.cpuUsage()
let isBegun = false
for (let number = 0; ; number++) {
  const due = startedAt + (number * 1000) / load.rate
  if (due >= endsAt) break
  const earlyMs = due - performance.now()
  if (earlyMs > 0) await sleep(earlyMs)
  if (!isBegun && due >= measuredFrom) {
    isBegun = true
    countFrom = due
    cpuAtBegin = process.cpuUsage()
    console.log(BEGUN)
  }
  void put(due)
}
const deadline = performance.now() + LAST_EVENTS_MS
while ((inFlight > 0 || latencies.count < expected) && performance.now() < deadline)
  await sleep(LOOK_EVERY_MS)
const cpu = process.cpuUsage(cpuAtBegin)
const report: WatchReport = {
  puts,
  events: latencies.count,
  missing: Math.max(0, expected - latencies.count),
  p50_ms: latencies.percentile(50),
  p99_ms: latencies.percentile(99),
  p999_ms: latencies.percentile(99.9),
  max_ms: latencies.max,
  errors: Object.fromEntries(errors),
  cpu_us: cpu.user + cpu.system,
}
console.log(JSON.stringify(report))
process.exit(0)

/** Its value is when it was due. */
async function put(due: number): Promise<void> {
  const key = Math.floor(Math.random() * load.watched_keys)
  inFlight += 1
  try {
    await writer.put(keyName(key), String(due).padStart(load.value_bytes))
    if (due < countFrom) return
    puts += 1
    expected += watchersOf(key, load)
  } catch (error) {
    const kind = error instanceof Error ? error.message : String(error)
    errors.set(kind, (errors.get(kind) ?? 0) + 1)
  } finally {
    inFlight -= 1
  }
}

// The load generator: a process of its own, so that its CPU time and garbage collections are not those of the main
// program. It reads a Load from its input and prints two lines: that the measured time has begun, and the report. It
// ends early when its input says more, or ends because the main program is gone.

import { createInterface } from 'node:readline'
import { BEGUN, type Load, type LoadReport } from './load.ts'
import { runLoop, systemClock } from './loop.ts'
import { openTarget } from './open-target.ts'
import { operationsOf } from './operations.ts'

const input = createInterface({ input: process.stdin })
const stop = new AbortController()
const load = await new Promise<Load>((resolve) => {
  input.once('line', (line) => {
    input.once('line', () => stop.abort())
    resolve(JSON.parse(line))
  })
  input.once('close', () => stop.abort())
})

const target = await openTarget(load)
const warmupMs = load.warmup_seconds * 1000
let cpuAtBegin = process.cpuUsage()
const begun = systemClock.until(performance.now() + warmupMs).then(() => {
  cpuAtBegin = process.cpuUsage()
  console.log(BEGUN)
})
const { latencies, errors, measuredMs } = await runLoop(operationsOf(load, target), {
  inFlight: load.in_flight,
  rate: load.rate,
  warmupMs,
  measuredMs: load.seconds === null ? null : load.seconds * 1000,
  stop: stop.signal,
})
await begun
const cpu = process.cpuUsage(cpuAtBegin)
const report: LoadReport = {
  operations: latencies.count,
  seconds: measuredMs / 1000,
  p50_ms: latencies.percentile(50),
  p99_ms: latencies.percentile(99),
  p999_ms: latencies.percentile(99.9),
  max_ms: latencies.max,
  errors: Object.fromEntries(errors),
  cpu_us: cpu.user + cpu.system,
}
console.log(JSON.stringify(report))
await target.close()
process.exit(0)

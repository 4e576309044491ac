// `npm run etcd:differential -- --minutes 60 --seed 1 --etcd 3.4`: random requests to etcd and to quorate, compared.

import { parseArgs } from 'node:util'
import fc from 'fast-check'
import { startComparison } from './compared-servers.ts'
import { conversations } from './requests.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    etcd: { type: 'string' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
  },
})
const [minutes, seed] = [Number(values.minutes), Number(values.seed)]

/** Longest conversation, in requests. */
const STEPS_MAX = 60

const { comparison, stop } = await startComparison(values.etcd)
try {
  const property = fc.asyncProperty(
    conversations(STEPS_MAX),
    async (steps) => void (await comparison.compare(steps)),
  )
  const { failed, numRuns, errorInstance, counterexample } = await fc.check(property, {
    seed,
    numRuns: Number.MAX_SAFE_INTEGER,
    interruptAfterTimeLimit: minutes * 60_000,
    markInterruptAsFailure: false,
  })
  console.log(
    `etcd ${comparison.release}, seed ${seed}: ${numRuns} conversations, ${comparison.requests} requests compared`,
  )
  for (const [name, count] of comparison.listed) console.log(`listed: ${name} (${count})`)
  if (failed) {
    console.log(errorInstance instanceof Error ? errorInstance.message : String(errorInstance))
    // An error of the comparison itself names no request.
    console.log(JSON.stringify(counterexample))
    process.exitCode = 1
  }
} finally {
  await stop()
}

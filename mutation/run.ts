// `npm run mutation [-- PATH…]`: changes the sources in thousands of small ways, one at a time, and prints the changes
// that no test notices. docs/mutation.md explains how to read them.

import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { type Area, targetsOf } from './areas.ts'
import { scoreOf, survivorsOf } from './score.ts'
import { install, mutate, type StrykerFiles } from './stryker.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { jobs: { type: 'string', default: String(availableParallelism()) } },
})
const jobs = Number(values.jobs)
if (!Number.isInteger(jobs) || jobs < 1)
  throw new Error(`--jobs must be a whole number from 1, not ${values.jobs}`)

const targets = targetsOf(positionals)
install()
const results: (readonly [Area, StrykerFiles])[] = targets.map((target) => [
  target.area,
  mutate(target, jobs),
])
for (const [, files] of results) for (const survivor of survivorsOf(files)) console.log(survivor)
for (const [area, files] of results) {
  const score = scoreOf(files)
  console.log(`${area.path}: ${score.toFixed(1)} % killed, ${area.required} % required`)
  if (score < area.required) process.exitCode = 1
}

// `npm run mutation [-- PATH…]`: changes the sources in thousands of small ways, one at a time, and tells which changes
// nothing notices. See README.md in this folder.

import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { targetsOf } from './areas.ts'
import { install, mutate, type StrykerFiles } from './stryker.ts'
import {
  equivalents,
  foundBySimulator,
  isThe,
  refusedByTypes,
  type Survivor,
  survivorOf,
} from './survivors.ts'
import { publish, type Row, scoreOf, textOf } from './table.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    jobs: { type: 'string', default: String(availableParallelism()) },
    'sim-seconds': { type: 'string', default: '20' },
    publish: { type: 'boolean', default: false },
  },
})
const jobs = wholeNumber('--jobs', values.jobs, 1)
const simSeconds = wholeNumber('--sim-seconds', values['sim-seconds'], 0)

/** By a test; the last: no test file can even be loaded with it. */
const KILLED = new Set(['Killed', 'Timeout', 'RuntimeError'])

const targets = targetsOf(positionals)
install()
const rows: Row[] = []
let enough = true
for (const target of targets) {
  const measured = await measure(mutate(target, jobs), target.area.simulated)
  rows.push(...measured)
  if (scoreOf(measured) < target.area.required) enough = false
}
console.log(textOf(rows))
if (values.publish) publish(rows)
process.exitCode = enough ? 0 : 1

async function measure(files: StrykerFiles, simulated: boolean): Promise<Row[]> {
  const known = equivalents()
  const all: Survivor[] = []
  for (const [file, { source, mutants }] of Object.entries(files)) {
    for (const mutant of mutants) {
      if (mutant.status === 'Survived' || mutant.status === 'NoCoverage')
        all.push(survivorOf(file, source, mutant))
    }
  }
  const equivalent = new Set(all.filter((survivor) => known.some((each) => isThe(survivor, each))))
  const unknown = all.filter((survivor) => !equivalent.has(survivor))
  const types = refusedByTypes(unknown)
  const compiled = unknown.filter((survivor) => !types.has(survivor))
  const searched = simulated && simSeconds > 0
  const simulator = searched ? await foundBySimulator(compiled, simSeconds, jobs) : new Set<Survivor>()
  for (const survivor of compiled) if (!simulator.has(survivor)) console.log(described(survivor))
  return Object.entries(files).map(([file, { mutants }]) => {
    const of = (some: ReadonlySet<Survivor>): number => [...some].filter((each) => each.file === file).length
    const counted = mutants.filter(({ status }) => status !== 'Ignored')
    const tests = counted.filter(({ status }) => KILLED.has(status)).length
    const counts = { types: of(types), simulator: of(simulator), equivalent: of(equivalent) }
    return { file, mutants: counted.length, tests, ...counts }
  })
}

/** As equivalent.json wants it, but for the reason. */
function described({ file, line, mutator, context, original, replacement }: Survivor): string {
  return `ALIVE ${file}:${line} ${mutator}\n${JSON.stringify({ file, context, original, replacement })}`
}

function wholeNumber(flag: string, text: string, least: number): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < least) {
    throw new Error(`${flag} takes a whole number from ${least}, not ${text}`)
  }
  return value
}

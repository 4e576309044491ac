// `npm run etcd:record -- --etcd 3.4 --file keys`: holds the conversations of `test/etcd/testdata` with etcd again, of
// all files or of one. `npm test` repeats them.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import fc from 'fast-check'
import { startComparison } from './compared-servers.ts'
import type { Recorded } from './comparison.ts'
import type { Step } from './conversation.ts'
import { EXAMPLES } from './examples.ts'
import { conversations } from './requests.ts'

const { values } = parseArgs({ options: { etcd: { type: 'string' }, file: { type: 'string' } } })

/** Conversations of a file that is drawn. */
const DRAWN = 16

function* drawn(): Generator<readonly [string, readonly Step[]]> {
  const steps = fc.sample(conversations(24), { numRuns: 1_000, seed: 1 })
  for (const [at, each] of steps.entries()) if (each.length > 12) yield [`${at + 1}`, each]
}

const { comparison, stop } = await startComparison(values.etcd)
const directory = join(import.meta.dirname, '../testdata', comparison.release)
try {
  for (const [file, examples] of Object.entries(EXAMPLES)) await record(file, Object.entries(examples))
  await record('drawn', drawn(), DRAWN)
} finally {
  await stop()
}

/** Writes the first of these conversations in which both servers agree. */
async function record(
  file: string,
  all: Iterable<readonly [string, readonly Step[]]>,
  max = Number.POSITIVE_INFINITY,
): Promise<void> {
  if ((values.file ?? file) !== file) return
  const recorded: Record<string, Recorded> = {}
  for (const [name, steps] of all) {
    if (Object.keys(recorded).length >= max) break
    const conversation = await comparison.compare(steps)
    if (conversation !== undefined) recorded[name] = conversation
  }
  const path = join(directory, `${file}.json`)
  writeFileSync(path, format(recorded))
  console.log(`${path}: ${Object.keys(recorded).length} conversations`)
}

/** A line for each request. */
function format(recorded: Readonly<Record<string, Recorded>>): string {
  const list = Object.entries(recorded).map(([name, { exchanges, watched }]) => {
    const lines = exchanges.map((each) => JSON.stringify(each)).join(',\n')
    return `${JSON.stringify(name)}: {"exchanges": [\n${lines}\n], "watched": ${JSON.stringify(watched)}}`
  })
  return `{\n${list.join(',\n')}\n}\n`
}

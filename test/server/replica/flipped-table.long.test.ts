// Every byte of a table of more than 300 rows, flipped: the check of a start finds it, and so each tool refuses the
// replica. And every entry whose type a disk has changed before LevelDB compacted it: each tool gives the right answer
// or refuses.

import { randomInt } from 'node:crypto'
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { tableFault } from '../../../src/storage/level/table.ts'
import { temporaryDirectory } from '../../backup/samples.ts'
import { runs } from '../../runs.ts'
import {
  entriesOf,
  FOOTER_BYTES,
  flipped,
  type Outcome,
  outcomesOf,
  type SampleReplica,
  sampleReplica,
  TOOL_NAMES,
} from './flips.ts'

/** How often each tool had each outcome. */
type Tally = Record<string, Partial<Record<Outcome, number>>>

async function count(tally: Tally, sample: SampleReplica, table: Buffer, tools = TOOL_NAMES): Promise<void> {
  for (const [tool, outcome] of Object.entries(await outcomesOf(sample, table, tools))) {
    const outcomes = tally[tool] ?? {}
    tally[tool] = outcomes
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
  }
}

const wrong = (tally: Tally): string[] =>
  Object.entries(tally).flatMap(([tool, outcomes]) =>
    Object.keys(outcomes).flatMap((outcome) => (outcome.startsWith('WRONG') ? [`${tool}: ${outcome}`] : [])),
  )

test('each byte', async () => {
  const sample = await sampleReplica(200)
  const { content } = sample
  const path = join(temporaryDirectory(), sample.table)
  const missed: number[] = []
  writeFileSync(path, content)
  const file = openSync(path, 'r+')
  for (let at = 0; at < content.length - FOOTER_BYTES; at++) {
    const byte = content[at] ?? 0
    writeSync(file, Uint8Array.of(byte ^ (1 << randomInt(8))), 0, 1, at)
    if (tableFault(path, content.length) === undefined) missed.push(at)
    writeSync(file, Uint8Array.of(byte), 0, 1, at)
  }
  closeSync(file)
  expect(tableFault(path, content.length)).toBeUndefined()
  expect(missed).toEqual([])
})

test('each tool, in turn', async () => {
  const sample = await sampleReplica(200)
  const { content } = sample
  const before: Tally = {}
  const footer: Tally = {}
  const step = Math.round(2000 / runs(100))
  for (let at = randomInt(step), turn = 0; at < content.length; at += step, turn++) {
    const tally = at < content.length - FOOTER_BYTES ? before : footer
    const tool = TOOL_NAMES[turn % TOOL_NAMES.length] ?? ''
    await count(tally, sample, flipped(content, 8 * at + randomInt(8)), [tool])
  }
  expect(wrong(before)).toEqual([])
  // Its padding means nothing.
  expect(wrong(footer)).toEqual([])
  for (const outcomes of Object.values(before)) expect(Object.keys(outcomes)).toEqual(['refused'])
})

test('each entry whose changed type was compacted', async () => {
  const sample = await sampleReplica(200)
  const { content } = sample
  const tally: Tally = {}
  for (const { block, typeAt } of entriesOf(content)) {
    if (randomInt(400) >= runs(100)) continue
    await count(tally, sample, flipped(content, 8 * typeAt, block))
  }
  expect(wrong(tally)).toEqual([])
})

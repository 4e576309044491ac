// Every byte of a table of more than 300 rows, flipped: each tool refuses the replica. And every entry whose type a disk
// has changed before LevelDB compacted it: each tool gives the right answer or refuses.

import { randomInt } from 'node:crypto'
import { expect, test } from 'vitest'
import { runs } from '../../runs.ts'
import { entriesOf, flipped, type Outcome, outcomesOf, type SampleReplica, sampleReplica } from './flips.ts'

/** How often each tool had each outcome. */
type Tally = Record<string, Partial<Record<Outcome, number>>>

async function count(tally: Tally, sample: SampleReplica, table: Buffer): Promise<void> {
  for (const [tool, outcome] of Object.entries(await outcomesOf(sample, table))) {
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
  // With fewer runs, every n-th byte from a random one.
  const step = Math.max(1, Math.round(4 / Math.max(0.01, runs(100) / 100)))
  const [data, footer]: Tally[] = [{}, {}]
  for (let at = randomInt(step); at < content.length; at += step)
    await count(
      at < content.length - 48 ? (data ?? {}) : (footer ?? {}),
      sample,
      flipped(content, 8 * at + randomInt(8)),
    )
  console.log('before the footer', JSON.stringify(data), 'footer', JSON.stringify(footer))
  expect(wrong(data ?? {})).toEqual([])
  expect(wrong(footer ?? {})).toEqual([])
  for (const outcomes of Object.values(data ?? {})) expect(Object.keys(outcomes)).toEqual(['refused'])
})

test('each entry whose changed type was compacted', async () => {
  const sample = await sampleReplica(200)
  const { content } = sample
  const tally: Tally = {}
  for (const { block, typeAt } of entriesOf(content)) {
    if (randomInt(100) >= runs(100)) continue
    await count(tally, sample, flipped(content, 8 * typeAt, block))
  }
  console.log('compacted', JSON.stringify(tally))
  expect(wrong(tally)).toEqual([])
})

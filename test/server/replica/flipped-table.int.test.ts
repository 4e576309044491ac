// A bit of a table that a disk has flipped: each tool gives the right answer or refuses. The long test tries all bytes.

import { randomInt } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { runs } from '../../runs.ts'
import { entriesOf, flipped, outcomesOf, sampleReplica } from './flips.ts'

const REFUSED = {
  'start, and reads': 'refused',
  inspect: 'refused',
  'inspect --check': 'refused',
  recover: 'refused',
  'verify --restore': 'refused',
}

describe('each tool refuses a replica with a flipped bit', () => {
  test('in the type of an entry, in its key, in its value', async () => {
    const sample = await sampleReplica(200)
    const { content } = sample
    const entries = entriesOf(content)
    expect(entries.length).toBeGreaterThan(300)
    for (let count = 0; count < runs(20); count++) {
      const { typeAt } = entries[randomInt(entries.length)] ?? { typeAt: 0 }
      for (const bit of [8 * typeAt, 8 * (typeAt - 1) + randomInt(8), 8 * (typeAt + 12) + randomInt(8)])
        expect(await outcomesOf(sample, flipped(content, bit)), `bit ${bit}`).toEqual(REFUSED)
    }
  })

  test('anywhere before the footer', async () => {
    const sample = await sampleReplica(200)
    const { content } = sample
    for (let count = 0; count < runs(30); count++) {
      const bit = randomInt(8 * (content.length - 48))
      expect(await outcomesOf(sample, flipped(content, bit)), `bit ${bit}`).toEqual(REFUSED)
    }
  })
})

test('each tool gives the right answer or refuses when LevelDB has compacted the changed type of an entry', async () => {
  const sample = await sampleReplica(200)
  const { content } = sample
  const entries = entriesOf(content)
  let refused = 0
  for (let count = 0; count < runs(50); count++) {
    const { block, typeAt } = entries[randomInt(entries.length)] ?? { block: { at: 0, size: 0 }, typeAt: 0 }
    const outcomes = Object.values(await outcomesOf(sample, flipped(content, 8 * typeAt, block)))
    expect(
      outcomes.filter((outcome) => outcome !== 'right' && outcome !== 'refused'),
      `entry at ${typeAt}`,
    ).toEqual([])
    if (outcomes.every((outcome) => outcome === 'refused')) refused++
  }
  expect(refused).toBeGreaterThan(0)
})

test('the replica without a flipped bit is right for each of them', async () => {
  const sample = await sampleReplica(200)
  const outcomes = await outcomesOf(sample, sample.content)
  expect(new Set(Object.values(outcomes))).toEqual(new Set(['right']))
})

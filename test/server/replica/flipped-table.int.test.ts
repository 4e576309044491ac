// A bit of a table that a disk has flipped: each tool gives the right answer or refuses. The long test tries all bytes.

import { randomInt } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Level } from 'level'
import { describe, expect, test } from 'vitest'
import { BUMP_MIN } from '../../../src/backup/bump.ts'
import { recoverReplica } from '../../../src/server/replica/stopped-replica.ts'
import { META_KEY, prefixed, rowPrefix } from '../../../src/storage/keys.ts'
import { decodeMeta, encodeMeta } from '../../../src/storage/records.ts'
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
  for (let count = 0; count < runs(100); count++) {
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

/** Makes the files so large that a start does not read all rows before it serves. */
async function enlarge(dir: string): Promise<void> {
  const db = new Level<Uint8Array, Uint8Array>(dir, { keyEncoding: 'view', valueEncoding: 'view' })
  await db.open({ compression: false })
  const { meta, sequence } = decodeMeta((await db.get(META_KEY)) ?? new Uint8Array())
  const batch = db.batch()
  const value = Buffer.alloc(2 ** 20)
  for (let at = 0; at < 33; at++) batch.put(prefixed(rowPrefix(99), Uint8Array.of(at)), value)
  batch.put(META_KEY, encodeMeta(meta, sequence + batch.length + 1))
  await batch.write({ sync: true })
  await db.close()
}

test('a recovery of a large replica refuses a row that is gone, and makes nothing of the others', async () => {
  const { dir } = await sampleReplica(200)
  await enlarge(dir)
  const tables = readdirSync(dir).flatMap((name) => {
    if (!name.endsWith('.ldb')) return []
    const content = readFileSync(join(dir, name))
    return [{ name, content, entries: entriesOf(content) }]
  })
  const [{ name, content, entries } = { name: '', content: Buffer.alloc(0), entries: [] }] = tables.sort(
    (a, b) => b.entries.length - a.entries.length,
  )
  const { block, typeAt } = entries[entries.length >> 1] ?? { block: { at: 0, size: 0 }, typeAt: 0 }
  writeFileSync(join(dir, name), flipped(content, 8 * typeAt, block))
  await expect(recoverReplica(dir, { bump: BUMP_MIN })).rejects.toMatchObject({
    name: 'StorageRefusedError',
    message: expect.stringMatching(new RegExp(`^Damaged data in ${dir}: .*--join URL --replace`)),
  })
  expect(existsSync(`${dir}.recovered`)).toBe(false)
})

test('the replica without a flipped bit is right for each of them', async () => {
  const sample = await sampleReplica(200)
  const outcomes = await outcomesOf(sample, sample.content)
  expect(new Set(Object.values(outcomes))).toEqual(new Set(['right']))
})

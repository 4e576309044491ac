// The changes that a migration has received and not copied yet.

import { expect, test } from 'vitest'
import { WatchQueue } from '../../../src/cli/migrate/watch-queue.ts'
import type { Client } from '../../../src/client/index.ts'

/** They have more changes than the queue holds at once. */
const REVISIONS = 100
const CHANGES = 1_000

test('the watch reads on for as long as changes are taken, however many there were', async () => {
  const events = Array.from({ length: CHANGES }, (_, at) => ({
    type: 'delete',
    keyBytes: Buffer.from(`${at}`),
  }))
  let read = 0
  async function* batches() {
    while (read < REVISIONS) yield { revision: ++read, events }
  }
  const source = { watch: batches } as unknown as Client
  await using queue = new WatchQueue(source, '', 1, new AbortController().signal)
  const waiting = async (): Promise<boolean> => (await queue.wait(1_000)) && !queue.isEmpty
  expect(await waiting()).toBe(true)
  // The source is not read to its end while nothing is taken.
  for (let turns = 0; turns < 100; turns++) await new Promise((resolve) => setImmediate(resolve))
  expect(read).toBeLessThan(REVISIONS)
  const taken: number[] = []
  while (taken.length < REVISIONS && (await waiting()))
    taken.push(...queue.take(Number.POSITIVE_INFINITY).map(({ revision }) => revision))
  expect(taken).toEqual(Array.from({ length: REVISIONS }, (_, at) => at + 1))
})

// The work of a replica as a sequence of numbered batches, the same wherever it is repeated. So the content of a
// replica can be compared with what it must hold after that many batches.

import { crc32 } from 'node:zlib'
import { asIndex } from '../../src/raft/types.ts'
import type { Storage } from '../../src/storage/index.ts'
import { memoryDisk, openDisk } from './replicas.ts'
import {
  allRows,
  applied,
  applyRows,
  batch,
  changes,
  closed,
  entries,
  frames,
  hardState,
  rowKey,
  scrub,
  store,
  text,
  write,
} from './samples.ts'

const KEYS = 40

/**
 * Batch `number` (1, 2, 3, …): applies a few rows and appends two entries, sometimes in a new term over an uncommitted
 * entry.
 */
export function submit(storage: Storage, number: number, padding = 0): Promise<void> {
  const term = 1 + Math.floor(number / 5)
  const first = 2 * number
  const commit = Math.max(1, first - 2)
  if (number > 1) applyRows(storage, changes(rowsOf(number, padding)), applied(commit, term))
  const appended =
    number % 5 === 0
      ? write({ truncateFrom: first - 1, entries: entries(first - 1, first + 1, term) })
      : write({ entries: entries(first, first + 1, term) })
  return store(storage, batch(hardState(term, commit, `${term + 2}`), [appended], Math.max(0, commit - 30)))
}

function rowsOf(number: number, padding: number): Record<string, string | undefined> {
  const value = `batch ${number} ${'.'.repeat(padding)}`
  return { [`k${number % KEYS}`]: value, [`k${(number * 7) % KEYS}`]: number % 3 === 0 ? undefined : value }
}

/** Everything that a replica holds, by every way of reading it. If damage is found, it rejects. */
export async function contentOf(storage: Storage): Promise<string> {
  const { log } = storage
  const [first, last] = [log.firstIndex(), log.lastIndex()]
  const list = last < first ? [] : log.entries(first, asIndex(last + 1), 1e9)
  const gotten = Array.from({ length: KEYS }, (_, at) => text(storage.get(rowKey(`k${at}`))))
  const ranged = await allRows(storage)
  await scrub(storage)
  return JSON.stringify({
    hardState: storage.hardState,
    applied: [
      storage.applied.index,
      storage.applied.term,
      text(storage.applied.raft),
      text(storage.applied.kv),
    ],
    stateHash: storage.stateHash.toString(),
    log: [first, last, frames(list).join()],
    rows: [gotten, ranged].map((rows) => crc32(JSON.stringify(rows))),
  })
}

const contents = new Map<string, Promise<string>>()

/** The content of a replica after `count` batches, including a restart. */
export function contentAfter(count: number, padding = 0): Promise<string> {
  const which = `${count} ${padding}`
  const content = contents.get(which) ?? makeContent(count, padding)
  contents.set(which, content)
  return content
}

async function makeContent(count: number, padding: number): Promise<string> {
  const disk = memoryDisk()
  const storage = await openDisk(disk)
  for (let number = 1; number <= count; number++) await submit(storage, number, padding)
  await closed(storage)
  return contentOf(await openDisk(disk))
}

// What LevelDB made of its WALs when it opened. One that it cannot open or read to its end it skips, with a line in its LOG and without an error, and then
// it deletes it, like the MANIFEST that names it: a process that is short of file descriptors for a moment would lose every batch in it for good.
//
// So LOG must say that each WAL was recovered and no error ignored. Otherwise the files are put back as they were judged before (verify.ts), for the
// next start. The tables that they go with are still there: LevelDB deletes those only after a compaction, which closing it interrupts.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeWhole } from './identity.ts'

/** Files by name, CURRENT first. */
export type RecoveryFiles = ReadonlyMap<string, Uint8Array>

/** A WAL was not recovered, or not to its end. */
export class SkippedError extends Error {}

/** Throws `SkippedError`, also when LOG cannot be read. */
export function assertRecovered(dir: string, files: RecoveryFiles): void {
  const lines = readLog(dir).split('\n')
  const ignored = lines.find((line) => /ignoring error.*IO error/i.test(line))
  const skipped = [...files.keys()].find(
    (name) => name.endsWith('.log') && !lines.some((line) => line.endsWith(recovering(name))),
  )
  if (ignored !== undefined || skipped !== undefined)
    throw new SkippedError(
      `LevelDB did not read ${skipped ?? 'a WAL to its end'} (${ignored ?? 'its LOG does not tell why'})`,
    )
}

/** LevelDB begins a LOG with each start, if it can. */
function readLog(dir: string): string {
  try {
    return readFileSync(join(dir, 'LOG'), 'latin1')
  } catch {
    return ''
  }
}

const recovering = (wal: string): string => `Recovering log #${Number.parseInt(wal, 10)}`

/** Durable when it returns. LevelDB must be closed. CURRENT comes last: until then the others count for nothing. */
export function putBack(dir: string, files: RecoveryFiles): void {
  for (const [name, content] of [...files].reverse()) writeWhole(dir, name, content)
}

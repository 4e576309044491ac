// Checks what LevelDB made of its WALs when it opened. If it cannot open a WAL, or cannot read it to its end, it skips
// it with a line in its LOG and without an error, and deletes it afterwards. So a short lack of file descriptors would
// lose every batch in that WAL.
//
// So LOG must show that each WAL was recovered and no error was ignored. Otherwise all of them are put back, beside the
// tables that LevelDB has made of them meanwhile, and the next start reads them again. LevelDB then applies the batches
// that it had taken once more, at the same sequence numbers, which changes nothing.

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { writeFileAtomically } from '../../files/durable.ts'
import { isOpenInProcess } from '../open-files.ts'

/** The content of each WAL by name, in order. */
export type Wals = ReadonlyMap<string, Uint8Array>

/** A WAL was not recovered, or not to its end. */
export class SkippedError extends Error {}

/** Throws `SkippedError` if a WAL was skipped or LOG cannot be read. */
export function assertRecovered(dir: string, wals: Wals): void {
  const lines = readLog(dir).split('\n')
  const ignored = lines.find((line) => /ignoring error.*IO error/i.test(line))
  const skipped = [...wals.keys()].find((name) => !lines.some((line) => line.endsWith(recovering(name))))
  if (ignored !== undefined || skipped !== undefined)
    throw new SkippedError(
      `LevelDB did not read ${skipped ?? 'a WAL to its end'} (${ignored ?? 'its LOG does not tell why'})`,
    )
}

/**
 * LevelDB begins a LOG at each start, if it can, and keeps it open. Another process that tries to start moves that file
 * to LOG.old before it finds the directory locked. Where the system does not show which files are open, LOG is used.
 */
function readLog(dir: string): string {
  const isOurs = (name: string): boolean => {
    const file = statSync(join(dir, name), { throwIfNoEntry: false })
    return file !== undefined && isOpenInProcess(file)
  }
  try {
    return readFileSync(join(dir, ['LOG', 'LOG.old'].find(isOurs) ?? 'LOG'), 'latin1')
  } catch {
    return ''
  }
}

const recovering = (wal: string): string => `Recovering log #${numberOf(wal)}`

/**
 * Durable when it returns. LevelDB must still be open: its lock keeps out other processes, which would write into the
 * WAL that is replaced here. Nothing may have been written since it opened, so that its newest WAL is empty and stays
 * empty when it is closed. The first WAL replaces that one, under the number from which MANIFEST makes LevelDB recover.
 * The tables may have changed.
 */
export function putBack(dir: string, wals: Wals): void {
  const newest = Math.max(
    ...readdirSync(dir)
      .filter((name) => name.endsWith('.log'))
      .map(numberOf),
  )
  for (const [at, content] of [...wals.values()].entries())
    writeFileAtomically(join(dir, `${String(newest + at).padStart(6, '0')}.log`), content)
}

const numberOf = (name: string): number => Number.parseInt(name, 10)

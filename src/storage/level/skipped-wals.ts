// Checks how LevelDB recovered its WALs when it opened. LevelDB skips a WAL that it cannot open or cannot read to its
// end. It reports that only by a line in its LOG, and deletes the WAL afterwards. So a short lack of file descriptors
// would lose every batch in that WAL.
//
// So LOG must show that each WAL was recovered and no error was ignored. Otherwise all of them are restored, beside
// the tables that LevelDB has made from them, and the next start reads them again. LevelDB then applies the batches
// that it had recovered once more, at the same sequence numbers, which changes nothing.

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
  const skipped = [...wals.keys()].find((name) => !lines.some((line) => line.endsWith(recoveryLine(name))))
  if (ignored !== undefined || skipped !== undefined)
    throw new SkippedError(
      `LevelDB did not read ${skipped ?? 'a WAL to its end'} (${ignored ?? 'its LOG gives no reason'})`,
    )
}

/**
 * LevelDB begins a LOG at each start, if it can, and keeps it open. Another process that tries to start moves that
 * file to LOG.old before it finds the directory locked. So the open file is read, or LOG where the system does not
 * list open files.
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

const recoveryLine = (wal: string): string => `Recovering log #${parseWalNumber(wal)}`

/**
 * Restores the WALs durably. LevelDB must still be open: its lock excludes other processes, which would write into the
 * WAL that is replaced here. Nothing may have been written since it opened, so that its newest WAL is empty and stays
 * empty when it is closed. The first WAL replaces that one, under the number from which MANIFEST makes LevelDB
 * recover. The tables may have changed.
 */
export function restoreWals(dir: string, wals: Wals): void {
  const newest = Math.max(
    ...readdirSync(dir)
      .filter((name) => name.endsWith('.log'))
      .map(parseWalNumber),
  )
  for (const [at, content] of [...wals.values()].entries())
    writeFileAtomically(join(dir, `${String(newest + at).padStart(6, '0')}.log`), content)
}

const parseWalNumber = (name: string): number => Number.parseInt(name, 10)

// What LevelDB made of its WALs when it opened. One that it cannot open or read to its end it skips, with a line in its
// LOG and without an error, and then it deletes it: a process that is short of file descriptors for a moment would lose
// every batch in it for good.
//
// So LOG must say that each WAL was recovered and no error ignored. Otherwise all of them are put back, behind what
// LevelDB has made of them, for the next start. What it did take in it then takes in once more, at the same sequence
// numbers.

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { writeWhole } from './identity.ts'
import { isOpenInProcess } from './open-files.ts'

/** Content by name, in their order. */
export type Wals = ReadonlyMap<string, Uint8Array>

/** A WAL was not recovered, or not to its end. */
export class SkippedError extends Error {}

/** Throws `SkippedError`, also when LOG cannot be read. */
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
 * LevelDB begins a LOG with each start, if it can, and keeps it open. Another process that tries to start moves it to
 * LOG.old before it finds the directory locked. Where the system does not tell which files are open, LOG counts.
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
 * Durable when it returns. LevelDB must still be open, for its lock keeps others out, who would go on writing into the
 * WAL that is replaced here; and nothing may have been written since: its newest WAL is empty, and stays so when it is
 * closed. The first one takes the place of that, under whose number MANIFEST has it recovered; the tables may be others
 * by now.
 */
export function putBack(dir: string, wals: Wals): void {
  const newest = Math.max(
    ...readdirSync(dir)
      .filter((name) => name.endsWith('.log'))
      .map(numberOf),
  )
  for (const [at, content] of [...wals.values()].entries())
    writeWhole(dir, `${String(newest + at).padStart(6, '0')}.log`, content)
}

const numberOf = (name: string): number => Number.parseInt(name, 10)

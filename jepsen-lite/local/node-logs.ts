// What the logs of the nodes tell that nothing else does: how often a snapshot was installed, and whether anything went wrong that no client was told.

import { readFileSync } from 'node:fs'
import { basename } from 'node:path'

export function countSnapshots(logFiles: readonly string[]): number {
  return logFiles.reduce(
    (sum, file) => sum + (readFileSync(file, 'utf8').match(/installed a snapshot/g)?.length ?? 0),
    0,
  )
}

/** Replicas that differ; defects that became a 500; whatever a process says when it dies of a defect. */
const ALARMS = /replicas differ|a request failed|FATAL ERROR|Uncaught|UnhandledPromise/i
const SHOWN_CHARACTERS = 400

/** The first alarm of each log, as a sentence. */
export function alarmsIn(logFiles: readonly string[]): string[] {
  return logFiles.flatMap((file) => {
    const lines = readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => ALARMS.test(line))
    const [first] = lines
    return first === undefined
      ? []
      : [`${basename(file)} has ${lines.length} lines like this: ${first.slice(0, SHOWN_CHARACTERS)}`]
  })
}

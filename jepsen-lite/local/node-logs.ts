// What the logs of the nodes tell that nothing else does: how often a snapshot was installed, and whether anything went
// wrong that no client was told.

import { existsSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'

export function countSnapshots(logFiles: readonly string[]): number {
  return logFiles.reduce((sum, file) => sum + (textOf(file).match(/installed a snapshot/g)?.length ?? 0), 0)
}

/** With the part that was moved aside when the node was started again behind a large log. */
function textOf(file: string): string {
  const parts = [`${file}.old`, file].filter((path) => existsSync(path))
  return parts.map((path) => readFileSync(path, 'utf8')).join('')
}

/**
 * Replicas that differ; defects that became a 500; whatever a process says when it dies of a defect: the last line of
 * that is Node's version.
 */
const ALARMS = /replicas differ|a request failed|FATAL ERROR|Uncaught|UnhandledPromise|^Node\.js v[0-9]/i
const SHOWN_CHARACTERS = 400
/** What went wrong stands above the line that tells so. */
const LINES_ABOVE = 8

/** The first alarm of each log, as a sentence. */
export function alarmsIn(logFiles: readonly string[]): string[] {
  return logFiles.flatMap((file) => {
    const lines = textOf(file).split('\n')
    const alarms = [...lines.keys()].filter((at) => ALARMS.test(lines[at] ?? ''))
    const [first] = alarms
    if (first === undefined) return []
    const isLast = lines[first]?.startsWith('Node.js v') === true
    const shown = lines.slice(isLast ? Math.max(0, first - LINES_ABOVE) : first, first + 1).join('\n')
    return [`${basename(file)} has ${alarms.length} lines like this: ${shown.slice(0, SHOWN_CHARACTERS)}`]
  })
}

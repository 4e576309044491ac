// Facts that only the logs of the nodes contain: how often a snapshot was installed, and problems that no client saw.

import { existsSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'

export function countSnapshots(logFiles: readonly string[]): number {
  return logFiles.reduce((sum, file) => sum + (readLog(file).match(/installed a snapshot/g)?.length ?? 0), 0)
}

/** Includes the older part of the log, which was moved to `.old` when the node was started again with a large log. */
function readLog(file: string): string {
  const parts = [`${file}.old`, file].filter((path) => existsSync(path))
  return parts.map((path) => readFileSync(path, 'utf8')).join('')
}

/**
 * Replicas that differ; defects that were answered with 500; and the output of a process that a defect ended. The last
 * line of that output is Node's version.
 */
const ALARMS = /replicas differ|a request failed|FATAL ERROR|Uncaught|UnhandledPromise|^Node\.js v[0-9]/i
const SHOWN_CHARACTERS = 400
/** The cause is in the lines above the line with Node's version. */
const LINES_ABOVE = 8

/** The first alarm of each log, as a sentence. */
export function findAlarms(logFiles: readonly string[]): string[] {
  return logFiles.flatMap((file) => {
    const lines = readLog(file).split('\n')
    const alarms = [...lines.keys()].filter((at) => ALARMS.test(lines[at] ?? ''))
    const [first] = alarms
    if (first === undefined) return []
    const isLast = lines[first]?.startsWith('Node.js v') === true
    const shown = lines.slice(isLast ? Math.max(0, first - LINES_ABOVE) : first, first + 1).join('\n')
    return [`${basename(file)} has ${alarms.length} lines like this: ${shown.slice(0, SHOWN_CHARACTERS)}`]
  })
}

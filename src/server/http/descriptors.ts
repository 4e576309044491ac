// How many connections this process may hold, from its limit of open files. Beyond that limit the next file that
// LevelDB opens fails, and the first error of a storage is its last: a node would end because clients keep connections.

import { readFileSync } from 'node:fs'

/**
 * Kept free for each node: its database, peers, strangers that have not said who they are, and what the runtime opens
 * itself.
 */
const RESERVED_PER_NODE = 192
/** Where the limit is low, this share of it stays free instead. */
const RESERVED_SHARE = 0.6
/** Where the system does not tell. */
const LIMIT_ELSEWHERE = 4_096

/** With less a node does not start: its own files, and a few connections. */
export const OPEN_FILES_MIN = 96

let limit: number | undefined

/** Open files that this process may have. Node has raised the soft limit to the hard one by the time it runs this. */
export function openFilesMax(): number {
  limit ??= readLimit()
  return limit
}

function readLimit(): number {
  try {
    const line = /^Max open files +(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))
    return line?.[1] === 'unlimited' ? Number.POSITIVE_INFINITY : Number(line?.[1] ?? LIMIT_ELSEWHERE)
  } catch {
    return LIMIT_ELSEWHERE
  }
}

/** Connections of clients that fit, for all nodes of the process together. */
export const connectionsThatFit = (filesMax: number, nodes: number): number =>
  Math.floor(Math.max(filesMax - nodes * RESERVED_PER_NODE, filesMax * (1 - RESERVED_SHARE)))

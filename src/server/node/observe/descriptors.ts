// How many connections this process may hold, from its limit of open files. At that limit LevelDB cannot open its next
// file, and a node ends at the first error of its storage. So clients could end a node with connections.

import { readFileSync } from 'node:fs'

/**
 * Files kept free for each node: its database, peers, connections that have not identified themselves, and files of the
 * runtime.
 */
const RESERVED_PER_NODE = 192
/** Share of the descriptors that stays free if the limit of the process is low. */
const RESERVED_SHARE = 0.6
/** The limit where the system does not report one. */
const LIMIT_ELSEWHERE = 4_096

/** A node does not start with fewer: it needs its own files and a few connections. */
export const OPEN_FILES_MIN = 96

let limit: number | undefined

/** The number of open files that this process may have. At its start Node raises the soft limit to the hard limit. */
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

/** The number of connections of clients that fit, for all nodes of the process together. */
export const connectionsThatFit = (filesMax: number, nodes: number): number =>
  Math.floor(Math.max(filesMax - nodes * RESERVED_PER_NODE, filesMax * (1 - RESERVED_SHARE)))

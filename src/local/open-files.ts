// A cluster needs files and sockets. With too few of them it would fail at some point of its start, and not say why.

import { OPEN_FILES_MIN, openFilesMax } from '../server/node/descriptors.ts'
import { Failure } from './failure.ts'

/**
 * What the supervisor needs beside the relays: its runtime, the control channel, and a channel and a log for each node.
 */
const SUPERVISOR_FILES = 64
/** A relay leads the connection of one node to another: a listener and two sockets. */
const RELAY_FILES = 3

export function checkOpenFiles(nodes: number): void {
  const needed = Math.max(OPEN_FILES_MIN, SUPERVISOR_FILES + nodes * (nodes - 1) * RELAY_FILES)
  if (openFilesMax() >= needed) return
  throw new Failure(
    1,
    `This process may have ${openFilesMax()} open files, and a cluster of ${nodes} needs ${needed}. Raise the limit: ulimit -n 4096`,
  )
}

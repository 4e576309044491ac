// Problems of one node, each with the command that solves it.

import { dirname, resolve } from 'node:path'
import { holdsNode } from '../server/inspect-data-directory.ts'
import { WAS_REMOVED } from '../server/node/membership/members.ts'
import { DEFAULT_DATA } from './cluster-file.ts'
import { PROGRAM } from './program-name.ts'
import { shellWord } from './shell-word.ts'
import type { SupervisedNode } from './supervised-node.ts'

/** The flag of commands for the cluster in this directory; empty if they need none. */
export const dataFlag = (directory: string): string =>
  resolve(directory) === resolve(DEFAULT_DATA) ? '' : ` --data ${shellWord(directory)}`

/** Adds to `problem` the command that makes the node a fresh replica. */
export function withRecoveryHint(problem: string, { name, dataDir, stage }: SupervisedNode): string {
  const cluster = dirname(dataDir)
  const rejoin = `${PROGRAM} cluster rejoin ${name}${dataFlag(cluster)}`
  if (stage === 'member' && !holdsNode(dataDir))
    return `${name} has lost its data: ${dataDir} holds no replica; make it a fresh replica with ${rejoin}`
  if (problem.includes(WAS_REMOVED))
    return `${name} ${WAS_REMOVED}; ${rejoin} brings it back as a new replica`
  return `${problem}; if the data of ${name} is damaged or lost: ${rejoin}`
}

export const readyOnlyWithQuorum = ({ name, pid }: SupervisedNode): string =>
  `${name} runs (process ${pid}), but becomes ready only when a majority of the voters runs`

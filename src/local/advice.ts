// Sentences about one node, with the way out that a local cluster offers.

import { dirname, resolve } from 'node:path'
import { holdsNode } from '../server/inspect-data-directory.ts'
import { DEFAULT_DATA } from './cluster-file.ts'
import type { LocalNode } from './local-node.ts'
import { PROGRAM } from './program-name.ts'
import { shellWord } from './shell-word.ts'

/** What a node said when it ended, and how it can come back. */
export function withAdvice(problem: string, node: LocalNode): string {
  const { name, process, stage } = node
  if (stage === 'member' && !holdsNode(process.dataDir)) {
    return `${name} has lost its data: ${process.dataDir} holds none. ${rejoin(node)} makes it a fresh replica.`
  }
  return withRejoin(problem, node)
}

export const withRejoin = (problem: string, node: LocalNode): string =>
  `${problem}\nIf its data is damaged or lost: ${rejoin(node)}`

function rejoin({ name, process }: LocalNode): string {
  const data = dirname(process.dataDir)
  return `${PROGRAM} cluster rejoin ${name}${data === resolve(DEFAULT_DATA) ? '' : ` --data ${shellWord(data)}`}`
}

export function readyOnlyWithMajority({ name, process: { pid } }: LocalNode): string {
  return `${name} runs (process ${pid}). It can be ready only when a majority of the nodes runs.`
}

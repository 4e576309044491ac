// Sentences about one node, with the way out that a local cluster offers.

import { dirname, resolve } from 'node:path'
import { holdsNode } from '../server/holds-node.ts'
import { DEFAULT_DATA } from './cluster-file.ts'
import type { LocalNode } from './local-node.ts'
import { shellWord } from './shell-word.ts'

/** What a node said when it ended, and how it can come back, unless it has said so itself. */
export function withAdvice(problem: string, { name, process: { dataDir }, stage }: LocalNode): string {
  const data = dirname(dataDir)
  const rejoin = `quorate cluster rejoin ${name}${data === resolve(DEFAULT_DATA) ? '' : ` --data ${shellWord(data)}`}`
  if (stage === 'member' && !holdsNode(dataDir)) {
    return `${name} has lost its data: ${dataDir} holds none. ${rejoin} makes it a fresh replica.`
  }
  return problem.includes(rejoin) ? problem : `${problem}\nIf its data is damaged or lost: ${rejoin}`
}

export function readyOnlyWithMajority({ name, process: { pid } }: LocalNode): string {
  return `${name} runs (process ${pid}). It can be ready only when a majority of the nodes runs.`
}

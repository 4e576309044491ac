// What `kv cluster …` asks a supervisor, and what the supervisor answers: JSON in one POST, on a loopback port that the
// system chose.

import { createHash } from 'node:crypto'
import type { ClusterStatus } from './cluster-status.ts'

export type ControlRequest =
  | { readonly command: 'status' }
  /** The same, as soon as every node is a voter that knows a leader, or it is certain that one will not become so. */
  | { readonly command: 'formed' }
  | { readonly command: 'stop' }
  | { readonly command: Exclude<NodeCommand, 'rejoin'>; readonly node: string }
  /** `evenHealthy`: the user agrees that a node that is ready loses its data. */
  | { readonly command: 'rejoin'; readonly node: string; readonly evenHealthy: boolean }
  | {
      readonly command: 'partition'
      readonly groups: readonly (readonly string[])[]
      readonly reset: boolean
    }
  | { readonly command: 'heal' }

export const NODE_COMMANDS = ['kill', 'pause', 'resume', 'restart', 'rejoin'] as const
export type NodeCommand = (typeof NODE_COMMANDS)[number]

export type ControlReply =
  /** `said` is a sentence for a person. */
  | { readonly ok: true; readonly said: string; readonly status?: ClusterStatus }
  | {
      readonly ok: false
      readonly exitCode: number
      readonly said: string
      /** The supervisor says that it is about to end: `stop` waits for that. */
      readonly stopping?: true
      /** The supervisor has ended. */
      readonly ended?: true
      /** Name of the node that is ready: only with `evenHealthy`. */
      readonly healthy?: string
    }

/**
 * What a supervisor shows before a command trusts it. Only a process that has the token can know this. The token itself
 * is not sent: another program may listen on the port of a supervisor that is gone.
 */
export function proofOf(token: string): string {
  return createHash('sha256').update(`quorate supervisor ${token}`).digest('hex')
}

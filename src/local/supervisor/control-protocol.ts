// Requests of `kv cluster …` to a supervisor, and its replies.

import { createHmac, timingSafeEqual } from 'node:crypto'
import { isObject } from '../../operations/forms/decode.ts'
import type { ClusterStatus } from './cluster-status.ts'

export type NodeCommand = 'kill' | 'pause' | 'resume' | 'restart'

export type ControlRequest =
  | { readonly command: 'status' }
  /**
   * Replied to when every node is ready, or when it is certain that one of them will not become ready. Refused for a
   * cluster that runs without TLS, with relays, or with the API of etcd, if the user wants the opposite.
   */
  | {
      readonly command: 'formed'
      readonly tls?: boolean
      readonly direct?: boolean
      readonly etcdApi?: boolean | undefined
    }
  | { readonly command: 'stop' }
  | FaultRequest

/** A request that changes nodes or the network between them. */
export type FaultRequest =
  | { readonly command: NodeCommand; readonly node: string }
  /** `evenIfHealthy`: the user agrees that a node that is ready loses its data. */
  | {
      readonly command: 'rejoin'
      readonly node: string
      readonly evenIfHealthy: boolean
      /** The Authorization header with which the fresh replica joins. */
      readonly authorization?: string | undefined
    }
  | {
      readonly command: 'partition'
      readonly groups: readonly (readonly string[])[]
      readonly reset: boolean
    }
  | ({ readonly command: 'cut' } & FaultLink)
  /** `link`: that of a cut which is undone; undefined: all partitions and cuts are undone. */
  | { readonly command: 'heal'; readonly link?: FaultLink | undefined }

/** The messages of `from` to `to`; `both`: those of `to` to `from` as well. */
export interface FaultLink {
  readonly from: string
  readonly to: string
  readonly both: boolean
}

/** `message`: for a person. */
export type ControlReply =
  | {
      readonly ok: true
      readonly message: string
      readonly status?: ClusterStatus
      /** With `status`: the address of the console, with its token. Absent when none runs. */
      readonly console?: string | undefined
    }
  | ControlError

export interface ControlError {
  readonly ok: false
  readonly exitCode: number
  readonly message: string
  /** `stopping`: the supervisor is about to end, and `stop` waits for that. `ended`: it has ended. */
  readonly supervisor?: 'stopping' | 'ended'
  /** Name of a node that is ready: `rejoin` needs `evenIfHealthy`. */
  readonly healthy?: string
}

export const succeeded = (message: string): ControlReply => ({ ok: true, message })

export const failed = (exitCode: number, message: string): ControlError => ({ ok: false, exitCode, message })

/** The first line of a command on each connection: random text, another one each time. */
export interface Challenge {
  readonly challenge: string
}

/** The first line of a supervisor, which answers the challenge. */
export interface Identification {
  readonly proof: string
  /** Real path of the directory of its cluster. A copy of the directory holds the same address and token. */
  readonly data_dir: string
}

/**
 * Proves to a command that the supervisor knows the token, without the token: another program may listen at the port of
 * a supervisor that is gone. It may know what that has said, so each challenge has another proof.
 */
export function computeProof(token: string, challenge: string): string {
  return createHmac('sha256', token).update(`quorate supervisor ${challenge}`).digest('hex')
}

/** Compares in constant time, so that the time of a refusal says nothing about the token. */
export function isSameToken(actual: string, expected: string): boolean {
  const [a, b] = [Buffer.from(actual), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}

/** The words after `kv cluster` that do the same. */
export function describeFault(request: FaultRequest): string {
  switch (request.command) {
    case 'heal':
      return request.link === undefined ? 'heal' : `heal ${linkWords(request.link)}`
    case 'cut':
      return `cut ${linkWords(request)}`
    case 'partition': {
      const groups = request.groups.map((group) => group.join(','))
      return ['partition', ...groups, ...(request.reset ? ['--reset'] : [])].join(' ')
    }
    default:
      return `${request.command} ${request.node}`
  }
}

const linkWords = ({ from, to, both }: FaultLink): string => `${from} ${to}${both ? '' : ' --one-way'}`

export function isControlReply(value: unknown): value is ControlReply {
  return isObject(value) && typeof value.ok === 'boolean' && typeof value.message === 'string'
}

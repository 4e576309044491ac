// Proofs by which a command and a supervisor know each other, and the plain forms of replies.

import { createHmac, timingSafeEqual } from 'node:crypto'
import type {
  ControlError,
  ControlReply,
  FaultLink,
  FaultRequest,
} from '../../operations/documents/supervisor.ts'

export const succeeded = (message: string): ControlReply => ({
  ...{ ok: true, message },
  ...{ status: undefined, console: undefined },
})

export const failed = (exitCode: number, message: string): ControlError => ({
  ...{ ok: false, exitCode, message },
  ...{ supervisor: undefined, healthy: undefined },
})

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

// The exit codes, for scripts (`kv help exit-codes`), and which one an error of the client has. A wrong command line
// has its code from main.ts; other failures bring one (src/local/failure.ts).

import { constants } from 'node:os'
import { findHandshakeFault } from '../certificates/handshake-faults.ts'
import type { QuorateError } from '../client/index.ts'
import { Cancellation } from '../local/failure.ts'

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  preconditionFailed: 4,
  /** A node answered that it cannot serve now. Nothing was written. */
  unavailable: 5,
  /** The change may have been made. */
  unknown: 6,
  /** No byte of the request was sent. */
  unreachable: 7,
  /**
   * It is not known who calls, this user has no right to it, the node serves others, or the handshake of TLS failed.
   * Nothing was written.
   */
  denied: 8,
  interrupted: 130,
} as const

/** How a command ends that a signal asks to, as a shell reports it. */
export const endedBy = (name: NodeJS.Signals, how: string): Cancellation =>
  new Cancellation(128 + constants.signals[name], name === 'SIGINT' ? how : `ended by ${name}: ${how}`)

const UNAVAILABLE = new Set([
  'no_leader',
  'no_quorum',
  'not_ready',
  'too_stale',
  'revision_behind',
  'overloaded',
  'timeout',
  'lock_not_taken',
])

const DENIED = new Set(['unauthenticated', 'permission_denied', 'loopback_only'])

/** Errors that the user can correct in the command. */
const FAULTY = new Set(['bad_request', 'unknown_parameter', 'key_empty', 'key_too_long'])

/** The kind of a command. Only a write can have an unknown outcome. */
export interface Intent {
  readonly kind: 'read' | 'write'
  /** The command that shows whether a write has happened. */
  readonly check?: string | undefined
  /** The content of its requests comes from files, not from the command line. */
  readonly fromFiles?: true
}

/** The last try failed in the handshake of TLS, so no node has read the request. */
function isHandshakeFault({ cause }: Error): boolean {
  if (!(cause instanceof Error)) return false
  return findHandshakeFault(cause) !== undefined || isHandshakeFault(cause)
}

export function errorExitCode(error: QuorateError, intent: Intent): number {
  if (error.code === 'aborted') return EXIT.interrupted
  if (error.code === 'precondition_failed') return EXIT.preconditionFailed
  if (intent.kind === 'write' && error.written === 'unknown') return EXIT.unknown
  if (error.code === 'unreachable') return isHandshakeFault(error) ? EXIT.denied : EXIT.unreachable
  if (DENIED.has(error.code)) return EXIT.denied
  if (error.code === 'not_found' || error.code === 'lease_not_found') return EXIT.notFound
  if (UNAVAILABLE.has(error.code)) return EXIT.unavailable
  if (FAULTY.has(error.code) && intent.fromFiles !== true) return EXIT.usage
  return EXIT.failed
}

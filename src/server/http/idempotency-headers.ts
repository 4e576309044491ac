// By what a change is known when it is sent again: one of two headers.
//
//   Idempotency-Key   TOKEN or "TOKEN", 1–255 visible ASCII characters, optionally followed by ;since=<revision>
//   Kv-Session        SESSION;slot=SLOT;seq=SEQ, of a session that was opened before (`src/kv/client-sessions.ts`)

import type { IncomingHttpHeaders } from 'node:http'
import type { Idempotency } from '../../kv/index.ts'
import { asRevision, SESSION_SLOTS_MAX } from '../../kv/index.ts'
import { ApiError } from './problem.ts'

const SINCE = /;[\t ]*since=([^;"]*)$/
const TOKEN = /^[\x21-\x7e]{1,255}$/

/** Whether a request has an identity. */
export const hasIdentity = (headers: IncomingHttpHeaders): boolean =>
  headers['idempotency-key'] !== undefined || headers['kv-session'] !== undefined

/** The identity of a change. Throws `Refused`. */
export function readIdentity(headers: IncomingHttpHeaders): Idempotency | undefined {
  const session = headers['kv-session']
  if (session === undefined) return readIdempotencyKey(headers['idempotency-key'])
  if (headers['idempotency-key'] !== undefined)
    throw new ApiError('bad_request', 'a change has an Idempotency-Key or a Kv-Session, not both')
  return readSession(session)
}

const SESSION = /^([1-9][0-9]{0,15});slot=([0-9]{1,5});seq=([1-9][0-9]{0,14})$/
export const SEQ_MAX = 2 ** 48 - 1

function readSession(header: string | string[]): Idempotency {
  const parts = typeof header === 'string' ? SESSION.exec(header) : null
  const [session = 0, slot = 0, seq = 0] = parts?.slice(1).map(Number) ?? []
  if (session === 0 || !Number.isSafeInteger(session) || slot >= SESSION_SLOTS_MAX || seq > SEQ_MAX)
    throw new ApiError(
      'bad_request',
      `Kv-Session must be <session>;slot=<0 to ${SESSION_SLOTS_MAX - 1}>;seq=<1 to ${SEQ_MAX}>`,
    )
  return { session, slot, seq }
}

export function readIdempotencyKey(header: string | string[] | undefined): Idempotency | undefined {
  if (header === undefined) return undefined
  if (typeof header !== 'string') throw malformed()
  const parameter = SINCE.exec(header)
  const named = parameter === null ? header : header.slice(0, parameter.index).trimEnd()
  const token = unquoted(named)
  if (!isToken(token)) throw malformed()
  return { token, since: parameter === null ? undefined : readSince(parameter[1] ?? '') }
}

export const isToken = (text: string): boolean => TOKEN.test(text)

function unquoted(text: string): string {
  if (!text.startsWith('"')) return text
  // A single quote leaves an empty token.
  if (!text.endsWith('"')) throw malformed()
  return text.slice(1, -1)
}

function readSince(text: string) {
  const revision = /^[1-9][0-9]{0,15}$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(revision))
    throw new ApiError('bad_request', 'Idempotency-Key: since must be a revision')
  return asRevision(revision)
}

const malformed = (): ApiError =>
  new ApiError(
    'bad_request',
    'Idempotency-Key must be 1 to 255 visible ASCII characters, with or without quotes, then optionally ;since=<revision>',
  )

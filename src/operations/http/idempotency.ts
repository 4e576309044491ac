// The two headers that name a change:
//
//   Idempotency-Key   TOKEN or "TOKEN", 1–255 visible ASCII characters, optionally followed by ;since=<revision>
//   Kv-Session        SESSION;slot=SLOT;seq=SEQ, of an open session (`src/kv/client-sessions.ts`)

import { type Idempotency, isToken, SEQ_MAX, SESSION_SLOTS_MAX } from '../forms/idempotency.ts'
import { ApiError } from '../forms/problems.ts'
import { asRevision } from '../forms/store.ts'
import type { RequestHeaders } from './conditions.ts'

const SINCE = /;[\t ]*since=([^;"]*)$/

/** The token or session slot that names a change. Throws `ApiError`. */
export function readIdempotency(headers: RequestHeaders): Idempotency | undefined {
  const session = headers['kv-session']
  if (session === undefined) return readIdempotencyKey(headers['idempotency-key'])
  if (headers['idempotency-key'] !== undefined)
    throw new ApiError('bad_request', 'a change has an Idempotency-Key or a Kv-Session, not both')
  return readSessionSlot(session)
}

const SESSION_SLOT = /^([1-9][0-9]{0,15});slot=([0-9]{1,5});seq=([1-9][0-9]{0,14})$/

function readSessionSlot(header: string | string[]): Idempotency {
  const parts = typeof header === 'string' ? SESSION_SLOT.exec(header) : null
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
  if (typeof header !== 'string') throw malformedToken()
  const parameter = SINCE.exec(header)
  const named = parameter === null ? header : header.slice(0, parameter.index).trimEnd()
  const token = unquoted(named)
  if (!isToken(token)) throw malformedToken()
  return { token, since: parameter === null ? undefined : readSince(parameter[1] ?? '') }
}

function unquoted(text: string): string {
  if (!text.startsWith('"')) return text
  // A single quote leaves an empty token.
  if (!text.endsWith('"')) throw malformedToken()
  return text.slice(1, -1)
}

function readSince(text: string) {
  const revision = /^[1-9][0-9]{0,15}$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(revision))
    throw new ApiError('bad_request', 'Idempotency-Key: since must be a revision')
  return asRevision(revision)
}

const malformedToken = (): ApiError =>
  new ApiError(
    'bad_request',
    'Idempotency-Key must be 1 to 255 visible ASCII characters, with or without quotes, then optionally ;since=<revision>',
  )

/** The header of a change that has such a name. */
export function idempotencyHeaders(idempotency: Idempotency | undefined): Readonly<Record<string, string>> {
  if (idempotency === undefined) return NO_HEADERS
  if ('session' in idempotency) {
    const { session, slot, seq } = idempotency
    return { 'Kv-Session': `${session};slot=${slot};seq=${seq}` }
  }
  const { token, since } = idempotency
  return { 'Idempotency-Key': since === undefined ? token : `${token};since=${since}` }
}

const NO_HEADERS = {}

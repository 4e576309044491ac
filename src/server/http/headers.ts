// Request headers with a grammar of their own: If-Match and If-None-Match (RFC 9110 §13.1), Accept (§12.5.1), and the
// two headers that name a change:
//
//   Idempotency-Key   TOKEN or "TOKEN", 1–255 visible ASCII characters, optionally followed by ;since=<revision>
//   Kv-Session        SESSION;slot=SLOT;seq=SEQ, of an open session (`src/kv/client-sessions.ts`)

import type { IncomingHttpHeaders } from 'node:http'
import { SESSION_SLOTS_MAX, TAGS_MAX } from '../../kv/index.ts'
import { asRevision, type Condition, type Idempotency, type Revision } from '../../operations/forms/index.ts'
import { ApiError } from '../api/errors.ts'
import { isToken, SEQ_MAX } from '../api/keys.ts'

export function readConditions(headers: IncomingHttpHeaders): Condition | undefined {
  const ifMatchText = headers['if-match']
  const ifNoneMatchText = headers['if-none-match']
  if (ifMatchText === undefined && ifNoneMatchText === undefined) return undefined
  return {
    // If-Match compares strongly: a weak tag equals nothing (RFC 9110 §13.1.1). If-None-Match compares weakly
    // (§13.1.2).
    ifMatch: ifMatchText === undefined ? undefined : readTags(ifMatchText, 'If-Match', false),
    ifNoneMatch: ifNoneMatchText === undefined ? undefined : readTags(ifNoneMatchText, 'If-None-Match', true),
  }
}

/** Each space matches in one way only. Otherwise the time of the search would grow quadratically with their number. */
const TAG = /[\t ]*(?:(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"[\t ]*)?(?:,|$)/y

/** `*`, or the revisions in the tags. Other well-formed tags equal no key's tag. */
function readTags(text: string, header: string, weakCounts: boolean): 'any' | readonly Revision[] {
  if (text.trim() === '*') return 'any'
  const revisions: Revision[] = []
  let isEmpty = true
  TAG.lastIndex = 0
  while (TAG.lastIndex < text.length) {
    const found = TAG.exec(text)
    if (found === null) throw malformed(header)
    const [, weak, opaque] = found
    if (opaque === undefined) continue // an empty list element
    isEmpty = false
    // No key is ever at revision 0. It is read as in the other wires, so that a change is the same in all of them.
    const revision = /^(?:0|[1-9][0-9]{0,15})$/.test(opaque) ? Number(opaque) : Number.NaN
    if (Number.isSafeInteger(revision) && (weak === undefined || weakCounts))
      revisions.push(asRevision(revision))
  }
  if (isEmpty) throw malformed(header)
  if (revisions.length > TAGS_MAX)
    throw new ApiError('bad_request', `${header} may have at most ${TAGS_MAX} entity tags`)
  return revisions
}

const malformed = (header: string): ApiError =>
  new ApiError('bad_request', `${header} must be * or a list of quoted entity tags, such as "7"`)

const SINCE = /;[\t ]*since=([^;"]*)$/

/** The token or session slot that names a change. Throws `ApiError`. */
export function readIdempotency(headers: IncomingHttpHeaders): Idempotency | undefined {
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

/** Whether `accept` names `mediaType` with a weight above 0. Wildcards do not count. */
export function namesMediaType(accept: string | undefined, mediaType: string): boolean {
  if (accept === undefined) return false
  const ranges = accept.toLowerCase().split(',')
  return ranges.some((range) => {
    if (!range.includes(mediaType)) return false
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim())
    return type === mediaType && !parameters.some((parameter) => /^q=0(\.0{0,3})?$/.test(parameter))
  })
}

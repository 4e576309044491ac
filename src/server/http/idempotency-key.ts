// The Idempotency-Key header: TOKEN or "TOKEN", 1–255 visible ASCII characters, optionally followed by
// ;since=<revision>.

import type { Idempotency } from '../../kv/index.ts'
import { asRevision } from '../../kv/index.ts'
import { Refused } from './problem.ts'

const SINCE = /;[\t ]*since=([^;"]*)$/
const TOKEN = /^[\x21-\x7e]{1,255}$/

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
    throw new Refused('bad_request', 'Idempotency-Key: since must be a revision')
  return asRevision(revision)
}

const malformed = (): Refused =>
  new Refused(
    'bad_request',
    'Idempotency-Key must be 1 to 255 visible ASCII characters, with or without quotes, then optionally ;since=<revision>',
  )

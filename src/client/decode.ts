// Values of this library, made of what operations decode, and errors for answers that are not in the agreed form.

import { decodeUtf8 } from '../bytes/utf8.ts'
import type { NodeAnswerHead } from '../operations/forms/answer-head.ts'
import { decodeBytesDocument } from '../operations/forms/bytes.ts'
import { type DisagreementError, decodeObject, decodeRevisions } from '../operations/forms/decode.ts'
import type { KeyRow } from '../operations/forms/index.ts'
import { QuorateError, type RecordMeta, type Written } from './errors.ts'
import type { AnswerInfo, KvRecord } from './types.ts'

/** The record that a failed condition has found. Throws `DisagreementError`. */
export function metaFrom(current: unknown): RecordMeta {
  const fields = decodeObject(current, '"current"')
  const keyBytes = decodeBytesDocument(fields.key)
  return { key: decodeUtf8(keyBytes), keyBytes, ...decodeRevisions(fields) }
}

/** A row as the application receives it. */
export function recordFrom({
  key: bytes,
  value,
  createRevision,
  modRevision,
  version,
  lease,
  ...origin
}: KeyRow): KvRecord {
  // The key of a request is a Buffer.
  const keyBytes = Buffer.isBuffer(bytes) ? new Uint8Array(bytes) : bytes
  return createRecord(
    { key: decodeUtf8(keyBytes), keyBytes, createRevision, modRevision, version },
    value,
    lease,
    originFrom(origin),
  )
}

/** The user of a change, and its time, as far as the answer has them. */
interface Origin {
  readonly by?: string
  readonly time?: Date
}

export const originFrom = ({ by, timeMs }: Pick<KeyRow, 'by' | 'timeMs'>): Origin => ({
  ...(by === undefined ? {} : { by }),
  ...(timeMs === undefined ? {} : { time: new Date(timeMs) }),
})

export function createRecord(
  meta: RecordMeta,
  value: Uint8Array,
  lease: string | undefined,
  origin: Origin = NO_ORIGIN,
): KvRecord {
  const { key, keyBytes, createRevision, modRevision, version } = meta
  const text = () => decodeUtf8(value)
  const json = () => parsedValue(key, text())
  const record = { key, keyBytes, createRevision, modRevision, version, value, lease, text, json }
  return origin.by === undefined && origin.time === undefined ? record : { ...record, ...origin }
}

const NO_ORIGIN: Origin = {}

function parsedValue(key: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new SyntaxError(`the value of ${JSON.stringify(key)} is not JSON: ${reason}`, { cause })
  }
}

export const answerInfo = ({ node, revision, served, stalenessMs }: NodeAnswerHead): AnswerInfo => ({
  node,
  revision,
  consistency: served,
  stalenessMs,
})

export function unexpected(cause: DisagreementError, endpoint: string, written: Written): QuorateError {
  const message = `${endpoint} answered, but not like a quorate node: ${cause.message}`
  return new QuorateError(message, { code: 'unexpected_answer', written, endpoint, cause })
}

export function incomplete(detail: string, endpoint: string, cause?: unknown): QuorateError {
  return new QuorateError(detail, { code: 'incomplete', written: 'no', endpoint, cause })
}

// From the JSON of the HTTP API to values of this library. An answer that is not in the agreed form is refused.

import { isUtf8 } from 'node:buffer'
import { types } from 'node:util'
import { decodeUtf8, encodeUtf8 } from '../bytes/utf8.ts'
import type { NodeAnswerHead } from '../operations/forms/answer-head.ts'
import {
  type DisagreementError,
  disagree,
  isObject,
  isWholeNumber,
} from '../operations/forms/disagreement.ts'
import { asRevision, type KeyRow, type LeaseId, type Revision } from '../operations/forms/index.ts'
import { QuorateError, type RecordMeta, type Written } from './errors.ts'
import type { AnswerInfo, KvRecord, Member } from './types.ts'

/** An object of JSON. */
export type Json = Readonly<Record<string, unknown>>

/** The object in an answer's body; undefined when the body is not one. The multiplexed connection delivers objects. */
export function parseObject(body: Uint8Array | string | Json): Json | undefined {
  if (typeof body === 'object' && !types.isUint8Array(body)) return body
  try {
    const value: unknown = JSON.parse(typeof body === 'string' ? body : decodeUtf8(body))
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** The fields that are defined. */
export const definedFields = (fields: object): Json =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

/** Revisions, indexes and counts. */
export function wholeNumberIn(json: Json, name: string): number {
  const value = json[name]
  return isWholeNumber(value) ? value : disagree(`"${name}" is not a whole number`)
}

export const revisionIn = (json: Json, name: string): Revision => asRevision(wholeNumberIn(json, name))

export function stringIn(json: Json, name: string): string {
  const value = json[name]
  return typeof value === 'string' ? value : disagree(`"${name}" is not a string`)
}

export function arrayIn(json: Json, name: string): readonly unknown[] {
  const value = json[name]
  return Array.isArray(value) ? value : disagree(`"${name}" is not a list`)
}

/** Returns the value if it is an object; otherwise throws. */
export function objectOf(value: unknown, what: string): Json {
  return isObject(value) ? value : disagree(`${what} is not an object`)
}

/** Bytes in JSON: a string if they are valid UTF-8, otherwise `{"base64": …}`. MessagePack has bytes. */
export function bytesFromJson(value: unknown): Uint8Array {
  // A copy, since the original is a part of a message, which would stay in memory as long as it.
  if (types.isUint8Array(value)) return new Uint8Array(value)
  // A lone surrogate has no bytes: it would become U+FFFD.
  if (typeof value === 'string')
    return value.isWellFormed() ? encodeUtf8(value) : disagree('not well-formed Unicode')
  if (isObject(value) && typeof value.base64 === 'string') {
    const bytes = Buffer.from(value.base64, 'base64')
    // Buffer skips characters that it does not know. The result must not be other bytes than those that were sent.
    return bytes.toString('base64') === value.base64 ? new Uint8Array(bytes) : disagree('not base64')
  }
  return disagree('bytes are neither a string nor {"base64": …}')
}

/** A string if the bytes are valid UTF-8, otherwise `{"base64": …}`. */
export function bytesToJson(bytes: Uint8Array): string | { readonly base64: string } {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return isUtf8(buffer) ? buffer.toString() : { base64: buffer.toString('base64') }
}

export function metaFromJson(json: Json): RecordMeta {
  const keyBytes = bytesFromJson(json.key)
  return {
    key: decodeUtf8(keyBytes),
    keyBytes,
    createRevision: wholeNumberIn(json, 'create_revision'),
    modRevision: wholeNumberIn(json, 'mod_revision'),
    version: wholeNumberIn(json, 'version'),
  }
}

/** With `keysOnly` there are no values. */
export function rowFromJson(json: Json, keysOnly = false): KeyRow {
  const row = {
    key: bytesFromJson(json.key),
    value: keysOnly ? new Uint8Array() : bytesFromJson(json.value),
    createRevision: revisionIn(json, 'create_revision'),
    modRevision: revisionIn(json, 'mod_revision'),
    version: wholeNumberIn(json, 'version'),
    lease: leaseOf(json.lease),
  }
  const by = keysOnly ? undefined : writerOf(json.by)
  return by === undefined ? row : { ...row, by }
}

/** A row as the application receives it. */
export function recordFrom({
  key: bytes,
  value,
  createRevision,
  modRevision,
  version,
  lease,
  by,
}: KeyRow): KvRecord {
  // The key of a request is a Buffer.
  const keyBytes = Buffer.isBuffer(bytes) ? new Uint8Array(bytes) : bytes
  return recordOf(
    { key: decodeUtf8(keyBytes), keyBytes, createRevision, modRevision, version },
    value,
    lease,
    by,
  )
}

/** undefined: none. */
function leaseOf(value: unknown): LeaseId | undefined {
  if (value === undefined || value === null) return undefined
  return typeof value === 'string' ? (value as LeaseId) : disagree('the lease of a record is not a string')
}

/** undefined: rights were not checked. */
function writerOf(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined
  return typeof value === 'string' ? value : disagree('the writer of a record is not a string')
}

export function recordOf(
  meta: RecordMeta,
  value: Uint8Array,
  lease: string | undefined,
  by?: string | undefined,
): KvRecord {
  const { key, keyBytes, createRevision, modRevision, version } = meta
  const text = () => decodeUtf8(value)
  const json = () => parsedValue(key, text())
  const record = { key, keyBytes, createRevision, modRevision, version, value, lease, text, json }
  return by === undefined ? record : { ...record, by }
}

function parsedValue(key: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new SyntaxError(`the value of ${JSON.stringify(key)} is not JSON: ${reason}`, { cause })
  }
}

export function memberFromJson(value: unknown): Member {
  const json = objectOf(value, 'a member')
  const role = stringIn(json, 'role')
  return {
    name: stringIn(json, 'name'),
    replicaId: stringIn(json, 'replica_id'),
    role: role === 'voter' || role === 'learner' ? role : disagree(`unknown role ${role}`),
    peer: stringIn(json, 'peer'),
    url: stringIn(json, 'url'),
    matchIndex: typeof json.match_index === 'number' ? json.match_index : undefined,
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

// ---------------------------------------------------------------------------------------------------------------------
// Problems (RFC 9457)

/** Codes that mean: this request changed nothing, and another try may succeed. */
const PASSING = new Set(['no_leader', 'no_quorum', 'not_ready', 'overloaded', 'too_stale', 'revision_behind'])

/**
 * Statuses with the same meaning for answers without a code: from a proxy, or from a node that has no room for the
 * connection and answers a HEAD, which has no body.
 */
const PASSING_STATUS = new Set([429, 502, 503, 504])

export interface ProblemDetails {
  readonly code: string
  readonly detail: string
  readonly status: number
  readonly retryAfterMs: number | undefined
  readonly json: Json
  /** Outcome of a write as far as this answer alone shows it. */
  readonly written: Written
  /** Whether another try may succeed. */
  readonly passing: boolean
}

/** `isOfNode`: the answer names a cluster. `type`: of the content, for the text. */
export function problemFrom(
  status: number,
  json: Json | undefined,
  isOfNode: boolean,
  type = 'no content type',
): ProblemDetails {
  const code = json?.code
  // Other programs also answer 404 for unknown pages.
  const isFound = status !== 404 || isOfNode
  if (json === undefined || typeof code !== 'string' || !isFound) {
    // The answer of a proxy, or of another program.
    return {
      code: 'unexpected_answer',
      detail: `not an answer of a quorate node (status ${status}, ${type})`,
      status,
      retryAfterMs: undefined,
      json: {},
      written: 'unknown',
      passing: PASSING_STATUS.has(status),
    }
  }
  const unknown = code === 'outcome_unknown' || status >= 500
  const passing = PASSING.has(code)
  return {
    code,
    detail: typeof json.detail === 'string' ? json.detail : code,
    status,
    retryAfterMs: typeof json.retry_after_ms === 'number' ? json.retry_after_ms : undefined,
    json,
    written: unknown && !passing && code !== 'storage_full' ? 'unknown' : 'no',
    passing: passing || code === 'outcome_unknown',
  }
}

export function incomplete(detail: string, endpoint: string, cause?: unknown): QuorateError {
  return new QuorateError(detail, { code: 'incomplete', written: 'no', endpoint, cause })
}

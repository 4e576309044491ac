// JSON of the API: snake_case; bytes as a string if they are valid UTF-8, otherwise {"base64": …}.

import { isUtf8 } from 'node:buffer'
import type { KeyMeta, KeyRevisions, KeyRow } from '../../kv/index.ts'

/** Bytes of JSON for one byte of a key or a value, at most. */
export const ESCAPED_BYTES_MAX = 6

export function bytesJson(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return isUtf8(buffer)
    ? JSON.stringify(buffer.toString('utf8'))
    : `{"base64":"${buffer.toString('base64')}"}`
}

export function recordJson(row: KeyRow): string {
  return `{"key":${bytesJson(row.key)},"value":${bytesJson(row.value)},${revisionsJson(row)}${leaseJson(row)}}`
}

/** A record without its value. */
export function metaJson(meta: KeyMeta): string {
  return `{"key":${bytesJson(meta.key)},${revisionsJson(meta)}${leaseJson(meta)}}`
}

const leaseJson = ({ lease }: Pick<KeyMeta, 'lease'>): string =>
  lease === undefined ? '' : `,"lease":"${lease}"`

export function revisionsJson({ createRevision, modRevision, version }: KeyRevisions): string {
  return `"create_revision":${createRevision},"mod_revision":${modRevision},"version":${version}`
}

// Reads the NDJSON of `kv export`: one record per line, and at the end `{"end":true,"count":…}`. A file made by hand
// may have no end line. Then it is unknown whether the file is complete, and the command says so.
//
// A record that had a lease is left out unless the user wants it. Its lease does not exist here, so the key would stay
// until somebody deletes it: a lock that nobody can take, an instance of a service that no longer runs.
//
// Only LF ends a line. JSON strings may contain U+2028, U+2029 and U+0085, where `readline` would end lines.

import { createReadStream } from 'node:fs'
import { addAbortSignal } from 'node:stream'
import { splitLines } from '../../client/list.ts'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { decodeBytesDocument } from '../../operations/forms/bytes.ts'
import { isObject } from '../../operations/forms/decode.ts'
import { EXIT } from '../exit-codes.ts'
import { io, userPath } from '../terminal/io.ts'

/**
 * Limit of one line in bytes. The largest possible record needs less than half of it, with every byte escaped
 * (`\u0000`).
 */
export const LINE_BYTES_MAX = 16 * 1024 * 1024

/** Opens a file; `-` means standard input. `leased`: records that had a lease become plain keys. */
export function linesOfFile(
  path: string,
  signal: AbortSignal,
  leased: boolean,
): AsyncGenerator<ImportItem, void, undefined> {
  const input = addAbortSignal(signal, path === '-' ? io().stdin : createReadStream(userPath(path)))
  return readItemsFromLines(input, path === '-' ? 'standard input' : path, leased)
}

/** `where` names the input in errors. An input that is not NDJSON, or ends too early, is a `Failure`. */
export async function* readItemsFromLines(
  input: AsyncIterable<Buffer>,
  where: string,
  leased = false,
): AsyncGenerator<ImportItem, void, undefined> {
  let number = 0
  let records = 0
  let ended = false
  const tooLong = () =>
    bad(`line ${number + 1} of ${where} has more than ${LINE_BYTES_MAX} bytes: it is no record`)
  for await (const bytes of splitLines(input, LINE_BYTES_MAX, tooLong)) {
    number += 1
    const line = `line ${number} of ${where}`
    const text = decodeLine(bytes, line)
    if (text.trim() === '') continue
    if (ended) throw bad(`${line} comes after the end line`)
    const json = parseObject(text)
    if (json === undefined && records === 0 && text.trimStart().startsWith('['))
      throw bad(`${line} begins a JSON array: write one JSON object a line (NDJSON)`)
    if (json === undefined) throw bad(`${line} is not a record: no JSON object`)
    if ('key' in json) {
      records += 1
      yield recordItem(json, line, leased)
    } else if (json.end === true) {
      if (json.count !== records)
        throw bad(`${where} is incomplete: ${records} records, but its end line says ${json.count}`)
      ended = true
    } else if ('error' in json) throw bad(`${where} ends with an error: ${JSON.stringify(json.error)}`)
    else throw bad(`${line} is not a record: it has no "key"`)
  }
  if (ended) return
  if (records === 0) throw bad(`${where} is empty, and an export has an end line even without records`)
  yield {
    kind: 'open-end',
    reason: `${where} has no end line: if ${PROGRAM} export wrote it, it is incomplete`,
  }
}

/** Decodes a line. Invalid bytes are refused, not replaced. A byte order mark at the beginning is ignored. */
function decodeLine(bytes: Buffer, line: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw bad(`${line} is not UTF-8`)
  }
}

function recordItem(json: Readonly<Record<string, unknown>>, line: string, leased: boolean): ImportItem {
  try {
    const key = decodeBytesDocument(json.key)
    const value = decodeBytesDocument(json.value)
    const name = Buffer.from(key).toString()
    const hadLease = json.lease !== undefined && json.lease !== null
    if (hadLease && !leased) return { kind: 'skip', name, reason: HAD_LEASE }
    return { kind: 'write', name, key, value: () => value }
  } catch {
    throw bad(`${line} is not a record with "key" and "value"`)
  }
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const json: unknown = JSON.parse(text)
    return isObject(json) ? json : undefined
  } catch {
    return undefined
  }
}

/** Why a record is left out. */
const HAD_LEASE = 'it had a lease; --leased imports it as a plain key'

const bad = (message: string): Failure => new Failure(EXIT.failed, message)

export type ImportItem =
  /** One key to write. */
  | {
      readonly kind: 'write'
      readonly name: string
      readonly key: Uint8Array
      readonly value: () => Uint8Array
    }
  /** Something that is not stored, and why. */
  | { readonly kind: 'skip'; readonly name: string; readonly reason: string }
  /** Nothing says whether the source is whole. */
  | { readonly kind: 'open-end'; readonly reason: string }

export type WriteItem = Extract<ImportItem, { kind: 'write' }>

// NDJSON as `kv export` writes it: a record on each line, last `{"end":true,"count":…}`. Files made by hand may leave the end line out;
// then nobody can tell whether the file is whole, and that is said.

import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { bytesFromJson, parseObject } from '../client/decode.ts'
import { Failure } from './cluster/failure.ts'
import type { ImportItem } from './commands/import.ts'
import { EXIT } from './exit-codes.ts'
import { say } from './output.ts'

/** `-` is standard input. */
export async function* linesOfFile(path: string): AsyncGenerator<ImportItem, void, undefined> {
  const input = path === '-' ? process.stdin : createReadStream(path)
  const where = path === '-' ? 'standard input' : path
  let number = 0
  let records = 0
  let ended = false
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    number += 1
    if (line.trim() === '') continue
    const json = parseObject(line)
    if (json === undefined || ended) throw bad(`line ${number} of ${where} is not a record`)
    if (json.end === true) {
      if (json.count !== records) {
        throw bad(`${where} is incomplete: ${records} records, but its end line says ${json.count}`)
      }
      ended = true
      continue
    }
    if ('error' in json) throw bad(`${where} ends with an error: ${JSON.stringify(json.error)}`)
    records += 1
    yield recordOf(json, `line ${number} of ${where}`)
  }
  if (!ended && records > 0) {
    say(`${where} has no end line: if kv export wrote it, it is incomplete`)
  }
}

function recordOf(json: Readonly<Record<string, unknown>>, where: string): ImportItem {
  try {
    const key = bytesFromJson(json.key)
    const value = bytesFromJson(json.value)
    return { kind: 'write', name: Buffer.from(key).toString(), key, value: () => value }
  } catch {
    throw bad(`${where} is not a record with "key" and "value"`)
  }
}

const bad = (message: string): Failure => new Failure(EXIT.failed, message)

// A transaction in the JSON of `POST /v1/txn`. It becomes an argument of the client, which checks its form. The fault
// that the client finds is said with line and column, and with the names that fields have in JSON.

import type { Txn } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { isObject } from '../../operations/forms/decode.ts'
import {
  elementPath,
  fieldPath,
  formatPosition,
  type JsonText,
  parseJsonText,
  TextFault,
} from '../../operations/http/json-text.ts'
import { EXIT } from '../exit-codes.ts'
import { parseDurationIfValid } from '../flags/flag-values.ts'

/** Fields by their names in JSON whose names in the client differ. */
const CLIENT_NAMES: ReadonlyMap<string, string> = new Map([
  ['keys_only', 'keysOnly'],
  ['count_only', 'countOnly'],
  ['ttl', 'ttlMs'],
])
const JSON_NAMES: ReadonlyMap<string, string> = new Map(
  [...CLIENT_NAMES].map(([json, client]) => [client, json]),
)

export interface TxnText {
  /** The transaction, whose values are not checked yet. */
  readonly txn: Txn
  /** The failure for a TypeError of the client about `txn`. */
  failureFrom(error: TypeError): Failure
}

/** `source`: what messages call the text. Throws a Failure. */
export function parseTxnText(text: string, source: string): TxnText {
  const failureAt = (index: number, message: string): Failure =>
    new Failure(EXIT.usage, `${formatPosition(text, index)} of ${source}: ${message}`)
  try {
    const json = parseJsonText(text)
    if (!isObject(json.value))
      throw new TextFault(0, 'a transaction is an object with compare, success and failure')
    return {
      txn: new ClientForm(json).of(json.value, '') as Txn,
      failureFrom: ({ message }) => {
        const fault = faultFrom(message)
        const index = json.indexes.get(fault.field) ?? json.indexes.get(fault.path) ?? 0
        return failureAt(index, fault.message)
      },
    }
  } catch (error) {
    throw error instanceof TextFault ? failureAt(error.index, error.message) : error
  }
}

/** The place that a message of the client names: `txn: success[0].put: value must be …`. */
function faultFrom(message: string): {
  readonly path: string
  readonly field: string
  readonly message: string
} {
  const [, path = '', fault = ''] =
    /^(?:txn: )?(?:((?:compare|success|failure)\[[^ ]*): )?(.*)$/s.exec(message) ?? []
  const [, unknown, known = ''] = /^there is no option "(.*?)"|^(\w+) must be /.exec(fault) ?? []
  const inJson = [...JSON_NAMES].reduce((said, [client, json]) => said.replaceAll(client, json), fault)
  const named = inJson
    .replace('there is no option', 'there is no field')
    .replace('a string or a Uint8Array', 'a string or {"base64": …}')
  return {
    path,
    field: fieldPath(path, unknown ?? JSON_NAMES.get(known) ?? known),
    message: path === '' ? named : `${path}: ${named}`,
  }
}

/** Changes names and bytes to those of the client. */
class ClientForm {
  readonly #indexes: JsonText['indexes']

  constructor({ indexes }: JsonText) {
    this.#indexes = indexes
  }

  of(json: unknown, path: string): unknown {
    if (Array.isArray(json)) return json.map((each, at) => this.of(each, elementPath(path, at)))
    if (!isObject(json)) return json
    if ('base64' in json) return this.#bytes(json.base64, path)
    const fields = Object.entries(json).map(([name, value]) =>
      this.#field(name, value, fieldPath(path, name)),
    )
    return Object.fromEntries(fields)
  }

  #field(name: string, value: unknown, path: string): readonly [string, unknown] {
    const inJson = JSON_NAMES.get(name)
    if (inJson !== undefined) this.#fail(path, `there is no such field (did you mean ${inJson}?)`)
    const form = name === 'ttl' ? this.#duration(value, path) : this.of(value, path)
    return [CLIENT_NAMES.get(name) ?? name, form]
  }

  /** `Buffer` ignores characters that it does not know. */
  #bytes(base64: unknown, path: string): Uint8Array {
    const bytes = typeof base64 === 'string' ? Buffer.from(base64, 'base64') : undefined
    if (bytes?.toString('base64') === base64 && bytes !== undefined) return bytes
    return this.#fail(path, 'base64 must be bytes in base64 with padding')
  }

  #duration(value: unknown, path: string): number {
    const ms = typeof value === 'string' ? parseDurationIfValid(value) : undefined
    return ms ?? this.#fail(path, 'it must be a duration, such as "30s"')
  }

  #fail(path: string, message: string): never {
    throw new TextFault(this.#indexes.get(path) ?? 0, `${path}: ${message}`)
  }
}

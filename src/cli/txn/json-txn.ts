// Transactions in the JSON of `POST /v1/txn`. They become arguments of the client, which checks their form.

import { isObject } from '../../client/decode.ts'
import type { Txn } from '../../client/index.ts'
import { durationMs } from '../duration.ts'
import { escapeText } from '../format-text.ts'
import { bytesOfBase64 } from './bytes.ts'
import { TxnSyntaxError } from './syntax-error.ts'

/** Fields whose names in the client differ. */
const CLIENT_NAMES: ReadonlyMap<string, string> = new Map([
  ['keys_only', 'keysOnly'],
  ['count_only', 'countOnly'],
  ['ttl', 'ttlMs'],
])

/** Returns JSON whose form is not checked. Throws a TxnSyntaxError if the text is no JSON. */
export function parseTxnJson(text: string): Txn {
  try {
    return JSON.parse(text, (_, value: unknown) => clientForm(value))
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    const line = endsTooEarly(text, error.message) ? text.trimEnd().split('\n').length : undefined
    if (line !== undefined) throw new TxnSyntaxError(`not valid JSON: it ends too early (line ${line})`)
    // The message quotes the text.
    throw new TxnSyntaxError(`expected JSON, found ${escapeText(error.message)}`)
  }
}

function endsTooEarly(text: string, message: string): boolean {
  const [, position] = / at position ([0-9]+)/.exec(message) ?? []
  if (position === undefined) return message.includes('Unexpected end')
  return message.startsWith('Unterminated') || Number(position) >= text.trimEnd().length
}

function clientForm(json: unknown): unknown {
  if (typeof json === 'string' && !json.isWellFormed())
    throw new TxnSyntaxError('expected text, found half of a surrogate pair in a string')
  if (!isObject(json)) return json
  if (typeof json.base64 === 'string') return bytesOfBase64(json.base64) ?? json
  const fields = Object.entries(json).map(([name, value]) => {
    const ms = name === 'ttl' && typeof value === 'string' ? durationMs(value) : undefined
    return [CLIENT_NAMES.get(name) ?? name, ms ?? value]
  })
  return Object.fromEntries(fields)
}

// The JSON of a body. What would be expensive or ambiguous is refused: too many parts, bytes that are not UTF-8, and
// names that occur twice in an object, of which a parser keeps only the last.

import { isUtf8 } from 'node:buffer'
import { Refused } from './problem.ts'

/**
 * No valid request but a batch has nearly as many. While a body of very many is parsed and checked, everything else
 * waits, including heartbeats.
 */
export const JSON_PARTS_MAX = 4_096

export function parseJson(body: Uint8Array, partsMax: number): unknown {
  const { parts, names } = countParts(body)
  if (parts > partsMax)
    return new Refused('bad_request', `the body has more than ${partsMax} commas and opening brackets`)
  if (!isUtf8(body)) return new Refused('bad_request', 'the body is not UTF-8')
  let json: unknown
  try {
    json = body.length === 0 ? {} : JSON.parse(Buffer.from(body).toString('utf8'))
  } catch {
    return new Refused('bad_request', 'the body is not JSON')
  }
  return namesIn(json) === names
    ? json
    : new Refused('bad_request', 'an object of the body has a name that occurs twice')
}

/** Commas, opening brackets and names, outside of strings. */
function countParts(body: Uint8Array): { readonly parts: number; readonly names: number } {
  let parts = 0
  let names = 0
  let isText = false
  for (let at = 0; at < body.length; at++) {
    const byte = body[at]
    if (byte === QUOTE) isText = !isText
    else if (isText) {
      if (byte === BACKSLASH) at++
    } else if (byte === COMMA || byte === BRACKET || byte === BRACE) parts++
    else if (byte === COLON) names++
  }
  return { parts, names }
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const BRACKET = 0x5b
const BRACE = 0x7b

/** Without recursion: the nesting may be as deep as the body has brackets. */
function namesIn(json: unknown): number {
  const found = [json]
  let names = 0
  // The list grows while it is read.
  for (const value of found) {
    if (typeof value !== 'object' || value === null) continue
    const inside: unknown[] = Object.values(value)
    if (!Array.isArray(value)) names += inside.length
    for (const each of inside) found.push(each)
  }
  return names
}

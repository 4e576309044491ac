// The JSON of a body. Expensive or ambiguous bodies are refused: too many parts, bytes that are not UTF-8, and names
// that occur twice in an object, of which a parser keeps only the last.

import { isUtf8 } from 'node:buffer'
import { ApiError } from '../../operations/forms/index.ts'

/**
 * No valid request but a batch has nearly as many. While a body of very many is parsed and checked, everything else
 * waits, including heartbeats.
 */
export const JSON_PARTS_MAX = 4_096

export interface JsonLimits {
  /** Commas and opening brackets. */
  readonly partsMax: number
  /** Brackets within brackets. */
  readonly depthMax: number
}

/** `source`: how a value that is no object and no list was written. TypeScript does not know it. */
type Reviver = (name: string, value: unknown, context: { readonly source?: string }) => unknown

/** The value, or the error that refuses the body. `revive`: as `JSON.parse` calls it. */
export function parseJson(body: Uint8Array, { partsMax, depthMax }: JsonLimits, revive?: Reviver): unknown {
  const { parts, names, depth } = countParts(body)
  if (parts > partsMax)
    return new ApiError('bad_request', `the body has more than ${partsMax} commas and opening brackets`)
  if (depth > depthMax)
    return new ApiError('bad_request', `the body has more than ${depthMax} brackets within each other`)
  if (!isUtf8(body)) return new ApiError('bad_request', 'the body is not UTF-8')
  let json: unknown
  try {
    json =
      body.length === 0
        ? {}
        : JSON.parse(Buffer.from(body).toString('utf8'), revive as Parameters<typeof JSON.parse>[1])
  } catch {
    return new ApiError('bad_request', 'the body is not JSON')
  }
  return countNames(json) === names
    ? json
    : new ApiError('bad_request', 'an object of the body has a name that occurs twice')
}

interface JsonCounts {
  /** Commas and opening brackets. */
  readonly parts: number
  readonly names: number
  /** Brackets that are open at the same time. */
  readonly depth: number
}

/** Outside of strings. */
function countParts(body: Uint8Array): JsonCounts {
  let parts = 0
  let names = 0
  let open = 0
  let depth = 0
  let isText = false
  for (let at = 0; at < body.length; at++) {
    const byte = body[at]
    if (byte === QUOTE) isText = !isText
    else if (isText) {
      if (byte === BACKSLASH) at++
    } else if (byte === COMMA) parts++
    else if (byte === COLON) names++
    else if (byte === BRACKET || byte === BRACE) {
      parts++
      depth = Math.max(depth, ++open)
    } else if (byte === BRACKET_END || byte === BRACE_END) open--
  }
  return { parts, names, depth }
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const BRACKET = 0x5b
const BRACKET_END = 0x5d
const BRACE = 0x7b
const BRACE_END = 0x7d

/** Without recursion: the nesting may be as deep as the body has brackets. */
function countNames(json: unknown): number {
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

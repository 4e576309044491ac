// Stored bytes, names and messages as text for people. A control character could move the cursor, change the title of
// a terminal, hide text or turn it around, so none of them reaches a terminal. output.ts, table.ts and
// node-log.ts, through which all text for people passes, call these functions. Nothing else needs to.

import { isUtf8 } from 'node:buffer'

/** A character up to U+00FF as \xNN, another one as \uNNNN. */
function escapeChar(char: string): string {
  const code = char.charCodeAt(0)
  const digits = code.toString(16)
  return code <= 0xff ? `\\x${digits.padStart(2, '0')}` : `\\u${digits.padStart(4, '0')}`
}

/** Control characters, line and paragraph separators, and characters that change the direction of the text behind. */
const CONTROL = String.raw`[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]`
const CONTROLS = new RegExp(CONTROL, 'gu')
const CONTROLS_WITHIN_LINES = new RegExp(String.raw`(?!\r?\n|\t)${CONTROL}`, 'gu')

/** For one line, or a field of it: escapes tabs and line ends too. */
export const escapeText = (text: string): string => text.replace(CONTROLS, escapeChar)

/** For whole texts: leaves tabs and line ends. */
export const escapeLines = (text: string): string => text.replace(CONTROLS_WITHIN_LINES, escapeChar)

/** Bytes as text. If they are not UTF-8, the bytes that `escaped` matches are escaped: all but printable ASCII. */
export function printableText(bytes: Uint8Array, escaped: RegExp = /[^ -~]/g): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return isUtf8(buffer) ? buffer.toString() : buffer.toString('latin1').replace(escaped, escapeChar)
}

export function formatMs(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`
}

/** When it ends what a lease keeps, and no node has confirmed that the lease has ended. */
export const withinLease = (ttlMs: number): string =>
  `within ${formatMs(ttlMs)}, when its lease ends: no node has confirmed that it has ended`

// Stored bytes, names and messages as text for people. A control character could move the cursor, change the title of
// a terminal or hide text, so none of them reaches a terminal.

import { isUtf8 } from 'node:buffer'

/** A character up to U+00FF as \xNN. */
const escapeChar = (char: string): string => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`

/** For a field within a line: escapes all control characters, also tabs and line ends. */
export const escapeText = (text: string): string => text.replace(/\p{Cc}/gu, escapeChar)

/** For whole texts: escapes all control characters but tabs and line ends. */
export const escapeLines = (text: string): string => text.replace(/(?!\r?\n|\t)\p{Cc}/gu, escapeChar)

/** Bytes as text. If they are not UTF-8, the bytes that `escaped` matches are escaped: all but printable ASCII. */
export function textOfBytes(bytes: Uint8Array, escaped: RegExp = /[^ -~]/g): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return isUtf8(buffer) ? buffer.toString() : buffer.toString('latin1').replace(escaped, escapeChar)
}

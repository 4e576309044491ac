// Bytes of a key, a name or a short value as text that cannot deceive: what controls or reorders text is shown, not
// carried out. Bytes that are no UTF-8 are shown in hexadecimal.

import { utf8Text } from '../../../src/bytes/index.ts'
import './bytes-text.css'

/** Categories of Unicode: control and format characters (marks of direction are among them), line separators. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u
const PARTS = new RegExp(`(${HIDDEN.source})`, 'u')

interface BytesTextProps {
  readonly bytes: Uint8Array
  /** Characters after which it is cut. */
  readonly max?: number
}

/** Bytes as text. Where they will be cut, only their beginning is decoded: each of many values may have a megabyte. */
export function BytesText({ bytes, max = Infinity }: BytesTextProps) {
  const start = takeCharacters(bytes, max * CHARACTER_BYTES_MAX)
  const text = utf8Text(start)
  if (text === undefined) return <HexText bytes={start} max={max} />
  return <SafeText text={text} max={max} />
}

const CHARACTER_BYTES_MAX = 4

/** At most this many bytes. In UTF-8, no character is cut. */
function takeCharacters(bytes: Uint8Array, max: number): Uint8Array {
  if (bytes.length <= max) return bytes
  let end = max
  while (end > max - CHARACTER_BYTES_MAX && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  return bytes.subarray(0, end)
}

export function SafeText({
  text,
  max = Infinity,
}: {
  readonly text: string
  readonly max?: number | undefined
}) {
  const shown = text.length > max ? `${text.slice(0, max)}…` : text
  return <bdi class="safe-text">{HIDDEN.test(shown) ? <Escaped text={shown} /> : shown}</bdi>
}

/** Escapes that have an element each. More of them, and what is between them, are one. */
const ESCAPES_MAX = 50

function Escaped({ text }: { readonly text: string }) {
  const parts = text.split(PARTS)
  const rest = parts.splice(2 * ESCAPES_MAX)
  return (
    <>
      {parts.map((part, at) =>
        at % 2 === 0 ? (
          part
        ) : (
          <span key={at} class="escape">
            {toEscape(part)}
          </span>
        ),
      )}
      {rest.length > 0 && (
        <span class="escape">{rest.map((part, at) => (at % 2 === 0 ? part : toEscape(part))).join('')}</span>
      )}
    </>
  )
}

const toEscape = (char: string): string =>
  NAMED[char] ?? `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`

const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\0': '\\0' }

function HexText({
  bytes,
  max = Infinity,
}: {
  readonly bytes: Uint8Array
  readonly max?: number | undefined
}) {
  const shown = bytes.subarray(0, Math.ceil(max / 2))
  return (
    <span class="mono">
      <span class="escape">hex</span> {toHex(shown)}
      {shown.length < bytes.length && '…'}
    </span>
  )
}

export const toHex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')

/** The same as plain text, for attributes and what is copied. */
export function plainText(bytes: Uint8Array): string {
  const text = utf8Text(bytes)
  return text ?? `hex ${toHex(bytes)}`
}

// Text as UTF-8. The two classes belong to the Encoding standard, which Node and browsers implement; they are not in
// the types of the language.

declare const TextEncoder: new () => { encode(text: string): Uint8Array<ArrayBuffer> }
declare const TextDecoder: new (
  label: string,
  options: { readonly ignoreBOM: boolean; readonly fatal?: boolean },
) => { decode(bytes: Uint8Array): string }

const encoder = new TextEncoder()
// Keeps a byte order mark: it is part of the text.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
const strictDecoder = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true })

export const encodeUtf8 = (text: string): Uint8Array => encoder.encode(text)

/** Number of bytes of the text in UTF-8. */
export function utf8Length(text: string): number {
  let length = text.length
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit < 0x80) continue
    // Both units of a pair are four bytes together. A lone one becomes U+FFFD, which has three.
    const isPair = unit >= 0xd800 && unit < 0xdc00 && isLowSurrogate(text.charCodeAt(at + 1))
    length += unit < 0x800 ? 1 : 2
    if (isPair) at++
  }
  return length
}

const isLowSurrogate = (unit: number): boolean => unit >= 0xdc00 && unit < 0xe000

/** Invalid UTF-8 becomes U+FFFD. */
export const decodeUtf8 = (bytes: Uint8Array): string => decoder.decode(bytes)

/** undefined: the bytes are not valid UTF-8. */
export function utf8Text(bytes: Uint8Array): string | undefined {
  const text = decoder.decode(bytes)
  if (!text.includes(REPLACEMENT)) return text
  try {
    return strictDecoder.decode(bytes)
  } catch {
    return undefined
  }
}

const REPLACEMENT = '\ufffd'

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

// HPACK, the compression of header fields (RFC 7541). The decoder has a table of the fields that the client sends again
// and again. The encoder has none: the fields of responses are few and short, and their blocks are encoded once.

import { TABLE_BYTES_DEFAULT } from './frames.ts'
import type { FieldBlock } from './http2.ts'
import { decodeHuffman } from './huffman.ts'
import { HeaderField } from './request-fields.ts'

/** A block that is no header block. The connection ends: later blocks depend on it. */
export class HpackError extends Error {
  override readonly name = 'HpackError'
}

const INDEXED = 0x80
const WITH_INDEXING = 0x40
const TABLE_SIZE = 0x20
const HUFFMAN = 0x80
/** An integer of five bytes has 35 bits. Nothing here is as large as that. */
const INTEGER_BYTES_MAX = 5

/** Decodes the header blocks of one connection, in their order. */
export class HpackDecoder {
  /** The newest entry is the last one. */
  readonly #entries: HeaderField[] = []
  #bytes = 0
  #bytesMax = TABLE_BYTES_DEFAULT
  #block: Uint8Array = NOTHING
  #at = 0

  /** Size of its table. */
  get tableBytes(): number {
    return this.#bytes
  }

  /** Calls `add` for each field. Throws `HpackError`. */
  decode(block: Uint8Array, add: (field: HeaderField) => void): void {
    this.#block = block
    this.#at = 0
    let hasField = false
    while (this.#at < block.length) {
      const first = block[this.#at] ?? 0
      if ((first & INDEXED) !== 0) add(this.#find(this.#integer(0x7f)))
      else if ((first & WITH_INDEXING) !== 0) {
        const field = this.#literal(0x3f)
        this.#insert(field)
        add(field)
      } else if ((first & TABLE_SIZE) !== 0) {
        const bytes = this.#integer(0x1f)
        if (hasField || bytes > TABLE_BYTES_DEFAULT) throw new HpackError('a wrong size of the table')
        this.#bytesMax = bytes
        this.#shrinkTo(bytes)
        continue
      } else add(this.#literal(0x0f))
      hasField = true
    }
    this.#block = NOTHING
  }

  #find(index: number): HeaderField {
    const field =
      index <= STATIC_FIELDS.length
        ? STATIC_FIELDS[index - 1]
        : this.#entries[this.#entries.length - (index - STATIC_FIELDS.length)]
    if (field === undefined) throw new HpackError('a field that is in no table')
    return field
  }

  #literal(mask: number): HeaderField {
    const index = this.#integer(mask)
    const name = index === 0 ? this.#text() : this.#find(index).name
    return new HeaderField(name, this.#text())
  }

  /** A field that is larger than the table empties it. */
  #insert(field: HeaderField): void {
    const { bytes } = field
    this.#shrinkTo(this.#bytesMax - bytes)
    if (bytes > this.#bytesMax) return
    this.#entries.push(field)
    this.#bytes += bytes
  }

  #shrinkTo(bytes: number): void {
    let dropped = 0
    while (this.#bytes > bytes && dropped < this.#entries.length)
      this.#bytes -= this.#entries[dropped++]?.bytes ?? 0
    if (dropped > 0) this.#entries.splice(0, dropped)
  }

  #integer(mask: number): number {
    let value = (this.#block[this.#at++] ?? 0) & mask
    if (value < mask) return value
    for (let factor = 1, count = 1; count < INTEGER_BYTES_MAX; factor *= 128, count++) {
      const byte = this.#block[this.#at++]
      if (byte === undefined) break
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value
    }
    throw new HpackError('an integer that does not end')
  }

  #text(): string {
    const isHuffman = ((this.#block[this.#at] ?? 0) & HUFFMAN) !== 0
    const length = this.#integer(0x7f)
    const from = this.#at
    const to = from + length
    if (to > this.#block.length) throw new HpackError('a text that ends behind its block')
    this.#at = to
    const text = isHuffman ? decodeHuffman(this.#block, from, to) : latin1(this.#block, from, to)
    if (text === undefined) throw new HpackError('a text with a wrong code')
    return text
  }
}

const NOTHING = new Uint8Array()

const latin1 = ({ buffer, byteOffset }: Uint8Array, from: number, to: number): string =>
  Buffer.from(buffer, byteOffset + from, to - from).toString('latin1')

/**
 * The beginning of a block that says that the table of the encoder is empty. A client that allows a smaller table than
 * the default waits for it (RFC 7541 §4.2).
 */
export const EMPTY_TABLE = Buffer.of(TABLE_SIZE)

/** A header block whose fields are in no table. */
export function encodeFields(fields: Readonly<Record<string, string>>): FieldBlock {
  const parts: Buffer[] = []
  for (const [name, value] of Object.entries(fields))
    parts.push(Buffer.from([0]), encodeText(name), encodeText(value))
  return { fields, bytes: Buffer.concat(parts) }
}

function encodeText(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1')
  const head: number[] = []
  if (bytes.length < 0x7f) head.push(bytes.length)
  else {
    head.push(0x7f)
    let rest = bytes.length - 0x7f
    for (; rest >= 0x80; rest >>>= 7) head.push((rest & 0x7f) | 0x80)
    head.push(rest)
  }
  return Buffer.concat([Buffer.from(head), bytes])
}

/** RFC 7541, appendix A: names, and their values where they have some. */
const STATIC_FIELDS: readonly HeaderField[] = [
  ':authority',
  ':method=GET=POST',
  ':path=/=/index.html',
  ':scheme=http=https',
  ':status=200=204=206=304=400=404=500',
  'accept-charset',
  'accept-encoding=gzip, deflate',
  'accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control',
  'content-disposition content-encoding content-language content-length content-location content-range',
  'content-type cookie date etag expect expires from host if-match if-modified-since if-none-match if-range',
  'if-unmodified-since last-modified link location max-forwards proxy-authenticate proxy-authorization range',
  'referer refresh retry-after server set-cookie strict-transport-security transfer-encoding user-agent vary via',
  'www-authenticate',
].flatMap((row) => {
  const [name = '', ...values] = row.split('=')
  if (values.length > 0) return values.map((value) => new HeaderField(name, value))
  return name.split(' ').map((each) => new HeaderField(each, ''))
})

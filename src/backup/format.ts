// The file of a backup: the rows of one instant of a store, and its registers.
//
//   "QUORATEB" | format (4) | block … | SHA-256 of everything before (32)
//
// The format is that of data directories, since the rows are theirs: a change of either layout raises it.
//
// A block is
//
//   kind (1) | number, from 0 (4) | length (4) | content | CRC-32C of all that (4)
//
//   1 header   once, first
//   2 rows     { key length (4) | key | value length (4) | value } …, in the order of their keys; at least one
//   3 end      once, last: number of rows (8), hash of all rows, as storage computes it (8), padding (n)
//
// Nothing follows the SHA-256. So a file that was cut anywhere, or changed anywhere, is refused.
//
// The padding makes everything before the SHA-256 a multiple of 512 bytes long. etcdctl, which may fetch the file,
// expects this of a snapshot, and such a SHA-256 behind it.

import { createHash } from 'node:crypto'
import { encodeUtf8, Reader, Writer } from '../bytes/index.ts'
import {
  crc32c,
  FORMAT_VERSION,
  hashOfRow,
  otherFormatText,
  StateHash,
  type StoredRow,
} from '../storage/index.ts'

const MAGIC = encodeUtf8('QUORATEB')
const PREAMBLE_BYTES = MAGIC.length + 4
const BLOCK_HEAD_BYTES = 9
const CRC_BYTES = 4
const HASH_BYTES = 32
/** The bytes before the SHA-256 are a multiple of this. */
const PADDED_TO = 512

const HEADER = 1
const ROWS = 2
const END = 3

/** A block of rows ends when it has so many bytes, or so many rows. */
const BLOCK_BYTES = 256 * 1024
const BLOCK_ROWS = 4096
/** A block is longer if one row is. No entry changes so many keys that its row of events has so many bytes. */
const BLOCK_BYTES_MAX = 256 * 1024 * 1024

/** Limits of the pages of rows that make blocks. */
export const BLOCK_LIMITS = { rowsMax: BLOCK_ROWS, bytesMax: BLOCK_BYTES }

/** The file is no backup, not what was written, or of another format. */
export class DamagedBackupError extends Error {
  override readonly name = 'DamagedBackupError'
}

export interface BackupHeader {
  readonly clusterId: string
  /** The name of the node that has written it. */
  readonly node: string
  /** The version of the program. */
  readonly version: string
  /** The clock of the machine, in ms since 1970. */
  readonly createdAtMs: number
  readonly index: number
  readonly term: number
  readonly hasHistory: boolean
  readonly users: number
  /** `KvState`, encoded. */
  readonly kv: Uint8Array
  /** `AppliedRaftState`, encoded. */
  readonly raft: Uint8Array
}

export interface BackupEnd {
  readonly rows: number
  readonly stateHash: bigint
}

function encodeHeader(header: BackupHeader): Uint8Array {
  return new Writer()
    .utf8(header.clusterId)
    .utf8(header.node)
    .utf8(header.version)
    .uint64(header.createdAtMs)
    .uint64(header.index)
    .uint64(header.term)
    .flag(header.hasHistory)
    .uint32(header.users)
    .bytes(header.kv)
    .bytes(header.raft)
    .written()
}

function decodeHeader(bytes: Uint8Array): BackupHeader {
  const from = new Reader(bytes, 'the header of the backup', DamagedBackupError)
  const header = {
    clusterId: from.utf8(),
    node: from.utf8(),
    version: from.utf8(),
    createdAtMs: from.uint64(),
    index: from.uint64(),
    term: from.uint64(),
    hasHistory: from.flag(),
    users: from.uint32(),
    kv: from.bytes(),
    raft: from.bytes(),
  }
  from.end()
  return header
}

/** Makes the bytes of a file, piece by piece. */
export class BackupWriter {
  readonly #sha = createHash('sha256')
  readonly #hash = new StateHash()
  #blocks = 0
  #rows = 0
  /** Bytes made so far. */
  #bytes = 0

  /** The first bytes. */
  begin(header: BackupHeader): Uint8Array {
    const preamble = Buffer.concat([MAGIC, new Writer().uint32(FORMAT_VERSION).written()])
    this.#sha.update(preamble)
    this.#bytes += preamble.length
    return Buffer.concat([preamble, this.#block(HEADER, encodeHeader(header))])
  }

  /** At least one row, in the order of their keys. */
  rows(rows: readonly StoredRow[]): Uint8Array {
    const content = new Writer()
    for (const { key, value } of rows) {
      content.bytes(key).bytes(value)
      this.#hash.add(hashOfRow(key, value))
    }
    this.#rows += rows.length
    return this.#block(ROWS, content.written())
  }

  /** The last bytes. */
  end(): Uint8Array {
    const content = new Writer().uint64(this.#rows).bigUint64(this.#hash.value).written()
    const bytes = this.#bytes + BLOCK_HEAD_BYTES + content.length + CRC_BYTES
    const padding = new Uint8Array((PADDED_TO - (bytes % PADDED_TO)) % PADDED_TO)
    const block = this.#block(END, Buffer.concat([content, padding]))
    return Buffer.concat([block, this.#sha.digest()])
  }

  #block(kind: number, content: Uint8Array): Uint8Array {
    const bytes = Buffer.allocUnsafe(BLOCK_HEAD_BYTES + content.length + CRC_BYTES)
    bytes.writeUInt8(kind)
    bytes.writeUInt32BE(this.#blocks++, 1)
    bytes.writeUInt32BE(content.length, 5)
    bytes.set(content, BLOCK_HEAD_BYTES)
    const end = BLOCK_HEAD_BYTES + content.length
    bytes.writeUInt32BE(crc32c(bytes, 0, end), end)
    this.#sha.update(bytes)
    this.#bytes += bytes.length
    return bytes
  }
}

/**
 * Reads a file from chunks of any size. Memory holds one block. Throws `DamagedBackupError`. Only after the last page
 * is it known that the file is whole: the rows before it must not be used until then.
 */
export class BackupReader {
  readonly #from: ByteSource
  #blocks = 0
  #header: BackupHeader | undefined
  #end: BackupEnd | undefined

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#from = new ByteSource(chunks)
  }

  async header(): Promise<BackupHeader> {
    if (this.#header !== undefined) return this.#header
    const preamble = await this.#from.take(PREAMBLE_BYTES)
    if (Buffer.compare(preamble.subarray(0, MAGIC.length), MAGIC) !== 0)
      throw new DamagedBackupError('this is no backup of quorate: it does not begin like one')
    const format = preamble.readUInt32BE(MAGIC.length)
    if (format !== FORMAT_VERSION) throw new DamagedBackupError(`the backup ${otherFormatText(format)}`)
    const { kind, content } = await this.#block()
    if (kind !== HEADER) throw new DamagedBackupError('the backup does not begin with its header')
    this.#header = decodeHeader(content)
    return this.#header
  }

  /** Known after the last page. */
  get end(): BackupEnd {
    if (this.#end === undefined) throw new Error('the backup is not read to its end')
    return this.#end
  }

  async *pages(): AsyncGenerator<readonly StoredRow[], void, undefined> {
    await this.header()
    const hash = new StateHash()
    let count = 0
    let last: Uint8Array | undefined
    for (;;) {
      const { kind, content, number } = await this.#block()
      const from = new Reader(content, `block ${number} of the backup`, DamagedBackupError)
      if (kind === END) {
        const [rows, stateHash] = [from.uint64(), from.bigUint64()]
        if (rows !== count || stateHash !== hash.value)
          throw new DamagedBackupError(`the backup has ${count} rows with another hash than its end says`)
        await this.#from.finish()
        this.#end = { rows, stateHash }
        return
      }
      if (kind !== ROWS) throw new DamagedBackupError(`block ${number} of the backup has kind ${kind}`)
      const page: StoredRow[] = []
      while (from.left > 0) {
        const row = { key: from.bytes(), value: from.bytes() }
        if (last !== undefined && Buffer.compare(last, row.key) >= 0)
          throw new DamagedBackupError(`the rows in block ${number} of the backup are not in order`)
        last = row.key
        hash.add(hashOfRow(row.key, row.value))
        page.push(row)
      }
      count += page.length
      yield page
    }
  }

  async #block(): Promise<{ readonly kind: number; readonly number: number; readonly content: Uint8Array }> {
    const expected = this.#blocks++
    const head = await this.#from.take(BLOCK_HEAD_BYTES)
    const [kind, number, length] = [head.readUInt8(), head.readUInt32BE(1), head.readUInt32BE(5)]
    if (number !== expected || length > BLOCK_BYTES_MAX)
      throw new DamagedBackupError(`block ${expected} of the backup is damaged: its head cannot be right`)
    const rest = await this.#from.take(length + CRC_BYTES)
    const whole = Buffer.concat([head, rest])
    const end = BLOCK_HEAD_BYTES + length
    if (crc32c(whole, 0, end) !== whole.readUInt32BE(end))
      throw new DamagedBackupError(`block ${number} of the backup is damaged: its checksum does not hold`)
    return { kind, number, content: whole.subarray(BLOCK_HEAD_BYTES, end) }
  }
}

/** Bytes in the order of a file, and the hash over those that were taken. */
class ByteSource {
  readonly #chunks: AsyncIterator<Uint8Array>
  readonly #sha = createHash('sha256')
  #ready: Uint8Array[] = []
  #readyBytes = 0

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]()
  }

  async take(count: number): Promise<Buffer> {
    const bytes = await this.#next(count)
    this.#sha.update(bytes)
    return bytes
  }

  /** The hash follows, and nothing after it. */
  async finish(): Promise<void> {
    const hash = await this.#next(HASH_BYTES)
    if (Buffer.compare(hash, this.#sha.digest()) !== 0)
      throw new DamagedBackupError('the backup is damaged: its SHA-256 does not hold')
    if (this.#readyBytes > 0 || (await this.#more()))
      throw new DamagedBackupError('bytes follow the end of the backup')
  }

  async #next(count: number): Promise<Buffer> {
    while (this.#readyBytes < count)
      if (!(await this.#more()))
        throw new DamagedBackupError('the backup is cut: it ends before its end record and its SHA-256')
    const [first] = this.#ready
    const bytes =
      this.#ready.length === 1 && first !== undefined
        ? Buffer.from(first.buffer, first.byteOffset, first.length)
        : Buffer.concat(this.#ready)
    this.#ready = [bytes.subarray(count)]
    this.#readyBytes = bytes.length - count
    return bytes.subarray(0, count)
  }

  /** Reads the next chunk that has bytes. Returns false at the end. */
  async #more(): Promise<boolean> {
    for (;;) {
      const { done, value } = await this.#chunks.next()
      if (done === true) return false
      if (value.length === 0) continue
      this.#ready.push(value)
      this.#readyBytes += value.length
      return true
    }
  }
}

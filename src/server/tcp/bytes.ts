// Plain values to bytes and back: big-endian, no padding. The reader trusts nothing and throws `MalformedError`.

/** Bytes that no correct peer sends. */
export class MalformedError extends Error {
  override readonly name = 'MalformedError'
}

const TWO_32 = 0x1_0000_0000

export class ByteWriter {
  private bytes = Buffer.allocUnsafeSlow(1024)
  private view = viewOf(this.bytes)
  private at = 0

  clear(): void {
    this.at = 0
  }

  /** Valid until the next `clear`. */
  written(): Uint8Array {
    return this.bytes.subarray(0, this.at)
  }

  u8(value: number): void {
    const at = this.room(1)
    this.view.setUint8(at, value)
  }

  u32(value: number): void {
    const at = this.room(4)
    this.view.setUint32(at, value)
  }

  /** A non-negative safe integer. */
  integer(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`cannot be sent: ${value}`)
    const at = this.room(8)
    this.view.setUint32(at, Math.floor(value / TWO_32))
    this.view.setUint32(at + 4, value % TWO_32)
  }

  double(value: number): void {
    const at = this.room(8)
    this.view.setFloat64(at, value)
  }

  flag(value: boolean): void {
    this.u8(value ? 1 : 0)
  }

  text(value: string): void {
    const length = Buffer.byteLength(value)
    this.u32(length)
    const at = this.room(length)
    this.bytes.write(value, at, 'utf8')
  }

  blob(value: Uint8Array): void {
    this.u32(value.length)
    const at = this.room(value.length)
    this.bytes.set(value, at)
  }

  /** A non-negative integer of any size. */
  big(value: bigint): void {
    if (value < 0n) throw new RangeError(`cannot be sent: ${value}`)
    this.text(value.toString(16))
  }

  /** Where the next `count` bytes go. Replaces `bytes` and `view` when they are too small: take these after it. */
  private room(count: number): number {
    const at = this.at
    if (at + count > this.bytes.length) this.grow(at + count)
    this.at = at + count
    return at
  }

  private grow(needed: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2))
    this.bytes.copy(larger, 0, 0, this.at)
    this.bytes = larger
    this.view = viewOf(larger)
  }
}

export class ByteReader {
  private readonly bytes: Buffer
  private readonly view: DataView
  private at = 0

  constructor(bytes: Buffer) {
    this.bytes = bytes
    this.view = viewOf(bytes)
  }

  get left(): number {
    return this.bytes.length - this.at
  }

  u8(): number {
    return this.view.getUint8(this.take(1))
  }

  u32(): number {
    return this.view.getUint32(this.take(4))
  }

  integer(): number {
    const at = this.take(8)
    const value = this.view.getUint32(at) * TWO_32 + this.view.getUint32(at + 4)
    if (!Number.isSafeInteger(value)) throw new MalformedError('an integer beyond 2^53')
    return value
  }

  double(): number {
    const value = this.view.getFloat64(this.take(8))
    if (!Number.isFinite(value)) throw new MalformedError('a time that is no number')
    return value
  }

  flag(): boolean {
    const value = this.u8()
    if (value > 1) throw new MalformedError(`a flag of ${value}`)
    return value === 1
  }

  text(): string {
    const length = this.u32()
    const at = this.take(length)
    return this.bytes.toString('utf8', at, at + length)
  }

  blob(): Uint8Array {
    return this.raw(this.u32())
  }

  big(): bigint {
    const digits = this.text()
    if (!/^[0-9a-f]{1,128}$/.test(digits)) throw new MalformedError('a number that is not hexadecimal')
    return BigInt(`0x${digits}`)
  }

  /** The next `count` bytes, shared with the frame that they came in. */
  raw(count: number): Uint8Array {
    const at = this.take(count)
    return this.bytes.subarray(at, at + count)
  }

  end(): void {
    if (this.left > 0) throw new MalformedError(`${this.left} bytes too many`)
  }

  private take(count: number): number {
    const at = this.at
    if (count > this.bytes.length - at) throw new MalformedError('cut short')
    this.at = at + count
    return at
  }
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/**
 * `bytes` in memory of their own when what they share is more than twice as large: what is kept for long must not pin a
 * buffer that was read for something else.
 */
export const unpinned = (bytes: Uint8Array): Uint8Array =>
  bytes.buffer.byteLength > 2 * bytes.length ? new Uint8Array(bytes) : bytes

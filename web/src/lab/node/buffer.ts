// Functions of the global `Buffer` of Node that the shipped code below the lab uses. The entry of the worker imports
// this module first.

import { latin1 } from '../../../../src/bytes/index.ts'

const allocate = (size: number): Uint8Array => new Uint8Array(size)

function compare(a: Uint8Array, b: Uint8Array): number {
  const common = Math.min(a.length, b.length)
  for (let at = 0; at < common; at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0)
    if (difference !== 0) return Math.sign(difference)
  }
  return Math.sign(a.length - b.length)
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = allocate(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** A view of bytes as text. Neither the core nor the simulator does anything else with it. */
class BytesText {
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  toString(encoding: string): string {
    if (encoding === 'latin1') return latin1(this.#bytes)
    if (encoding === 'hex')
      return Array.from(this.#bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
    throw new Error(`no text as ${encoding} in a page`)
  }
}

const from = (source: Uint8Array | ArrayBuffer, at?: number, length?: number): BytesText =>
  new BytesText(source instanceof Uint8Array ? source : new Uint8Array(source, at, length))

Object.assign(globalThis, {
  Buffer: { alloc: allocate, allocUnsafe: allocate, allocUnsafeSlow: allocate, compare, concat, from },
})

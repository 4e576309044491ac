// Randomness of a simulated process: `Math.random`, `node:crypto` and `crypto`. The real function checks the arguments,
// then its bytes are exchanged. `getRandomValues` of `node:crypto` calls that of `crypto`. Generated keys, and
// signatures that need randomness, are real.

import type { Random } from '../../workload/random.ts'
import { bound } from './async-context.ts'
import { currentProcess, type ProcessGlobals } from './process-globals.ts'
import { type AnyFunction, call, disguise, isFunction, type Replacements } from './replacements.ts'

const crypto = process.getBuiltinModule('node:crypto')
const { randomFillSync } = crypto

const WORD = 2 ** 32
const WORD_BYTES = 4
const UUID_BYTES = 16

const word = (random: Random): number => random.below(WORD)

function fill(random: Random, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += WORD_BYTES) {
    const bits = word(random)
    for (let i = 0; i < WORD_BYTES && at + i < bytes.length; i++) bytes[at + i] = bits >>> (8 * i)
  }
}

/** Fills a part of a view or a buffer. Offset and size count elements of the view. */
function fillPart(random: Random, memory: unknown, offset = 0, size?: number): void {
  const isView = ArrayBuffer.isView(memory)
  const buffer = isView ? memory.buffer : (memory as ArrayBuffer)
  const { byteOffset = 0, byteLength } = isView ? memory : { byteLength: buffer.byteLength }
  const width = isView && 'BYTES_PER_ELEMENT' in memory ? Number(memory.BYTES_PER_ELEMENT) : 1
  const begin = offset * width
  const length = size === undefined ? byteLength - begin : size * width
  fill(random, new Uint8Array(buffer, byteOffset + begin, length))
}

/** A whole number below a limit of at most 48 bits. */
const below = (random: Random, limit: number): number => {
  const bits = (word(random) >>> 5) * 2 ** 26 + (word(random) >>> 6)
  return Math.floor((bits / 2 ** 53) * limit)
}

function uuid(random: Random, version: number, time?: number): string {
  const bytes = Buffer.alloc(UUID_BYTES)
  fill(random, bytes)
  if (time !== undefined) bytes.writeUIntBE(time, 0, 6)
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | (version << 4), 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/** Passes the outcome to the callback in the next turn, in the async context of the caller. */
const deliver = (host: ProcessGlobals, callback: AnyFunction, ...outcome: unknown[]): void => {
  host.soon(bound(() => void call(callback, undefined, outcome)))
}

const mathRandom = (real: AnyFunction): object =>
  disguise(() => currentProcess()?.random.next() ?? call(real, Math, []), real)

const randomBytes = (real: AnyFunction): object =>
  disguise((...args: unknown[]): unknown => {
    const host = currentProcess()
    const [size, callback] = args
    const isValid = callback === undefined || isFunction(callback)
    if (host === undefined || !isValid) return call(real, crypto, args)
    const bytes = call(real, crypto, [size])
    fillPart(host.random, bytes)
    if (callback === undefined) return bytes
    deliver(host, callback, null, bytes)
    return undefined
  }, real)

const fillSync = (real: AnyFunction): object =>
  disguise((...args: unknown[]): unknown => {
    const host = currentProcess()
    const memory = call(real, crypto, args)
    const [, offset, size] = args as [unknown, number?, number?]
    if (host !== undefined) fillPart(host.random, memory, offset, size)
    return memory
  }, real)

const fillAsync = (real: AnyFunction): object =>
  disguise((...args: unknown[]): unknown => {
    const host = currentProcess()
    const callback = args.at(-1)
    if (host === undefined || !isFunction(callback)) return call(real, crypto, args)
    const [memory, offset, size] = args.slice(0, -1) as [unknown, number?, number?]
    call(randomFillSync, crypto, [memory, offset, size])
    fillPart(host.random, memory, offset, size)
    deliver(host, callback, null, memory)
    return undefined
  }, real)

const randomInt = (real: AnyFunction): object =>
  disguise((...args: unknown[]): unknown => {
    const host = currentProcess()
    const last = args.at(-1)
    const callback = isFunction(last) ? last : undefined
    const limits = callback === undefined ? args : args.slice(0, -1)
    if (host === undefined || limits.length === 0) return call(real, crypto, args)
    call(real, crypto, limits)
    const [first, second] = limits as [number, number?]
    const [min, max] = second === undefined ? [0, first] : [first, second]
    const drawn = min + below(host.random, max - min)
    if (callback === undefined) return drawn
    deliver(host, callback, undefined, drawn)
    return undefined
  }, real)

const randomUuid =
  (version: number) =>
  (real: AnyFunction): object =>
    disguise(function (this: unknown, ...args: unknown[]): unknown {
      const host = currentProcess()
      const drawn = call(real, this, args)
      if (host === undefined) return drawn
      return uuid(host.random, version, version === 7 ? Math.floor(host.wallTimeMs()) : undefined)
    }, real)

const getRandomValues = (real: AnyFunction): object =>
  disguise(function (this: unknown, ...args: unknown[]): unknown {
    const host = currentProcess()
    const array = call(real, this, args)
    if (host !== undefined) fillPart(host.random, array)
    return array
  }, real)

export function replaceRandomness(replacements: Replacements): void {
  replacements.method(Math, 'random', mathRandom)
  for (const name of ['randomBytes', 'pseudoRandomBytes', 'prng', 'rng'])
    replacements.method(crypto, name, randomBytes)
  replacements.method(crypto, 'randomFill', fillAsync)
  replacements.method(crypto, 'randomFillSync', fillSync)
  replacements.method(crypto, 'randomInt', randomInt)
  const webCryptos = new Set([globalThis.crypto, crypto.webcrypto])
  for (const target of [crypto, ...webCryptos]) {
    replacements.method(target, 'randomUUID', randomUuid(4))
    replacements.method(target, 'randomUUIDv7', randomUuid(7))
  }
  for (const target of webCryptos) replacements.method(target, 'getRandomValues', getRandomValues)
}

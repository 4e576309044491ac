// Work on the thread pool: outcomes have the order of the beginnings.

import { AsyncLocalStorage } from 'node:async_hooks'
import crypto, { generateKeyPair, pbkdf2, scrypt, sign, webcrypto } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import zlib, { createGunzip, createGzip, gunzip, gunzipSync, gzip, gzipSync } from 'node:zlib'
import { expect, test, vi } from 'vitest'
import { settle, type VirtualHost, virtualHost } from './virtual-host.ts'

/** A module of eight bytes, which contains nothing. */
const EMPTY_WASM = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)
const WebAssembly = Reflect.get(globalThis, 'WebAssembly') as {
  compile(bytes: Uint8Array): Promise<object>
  instantiate(bytes: Uint8Array): Promise<object>
}

const scryptOfBefore = promisify<string, string, number, Buffer>(scrypt)

const key = (): Promise<webcrypto.CryptoKey> =>
  crypto.subtle.importKey('raw', new Uint8Array(16), 'AES-GCM', true, ['encrypt'])

const kinds: readonly (readonly [string, () => Promise<unknown>])[] = [
  ['scrypt', () => promisify<string, string, number, Buffer>(scrypt)('word', 'salt', 8)],
  ['pbkdf2', () => promisify(pbkdf2)('word', 'salt', 10, 8, 'sha256')],
  ['hkdf', () => promisify(crypto.hkdf)('sha256', 'key', 'salt', 'info', 8)],
  ['generateKeyPair', () => promisify(generateKeyPair)('ed25519')],
  ['generateKey', () => promisify(crypto.generateKey)('hmac', { length: 64 })],
  ['generatePrime', () => promisify<number, unknown>(crypto.generatePrime)(16)],
  [
    'sign',
    () => {
      const { privateKey } = crypto.generateKeyPairSync('ed25519')
      return new Promise((resolve, reject) => {
        sign(null, Buffer.from('x'), privateKey, (error, signature) =>
          error ? reject(error) : resolve(signature),
        )
      })
    },
  ],
  ['digest', () => crypto.subtle.digest('SHA-256', new Uint8Array(8))],
  ['digest of globalThis.crypto', () => globalThis.crypto.subtle.digest('SHA-256', new Uint8Array(8))],
  ['importKey', key],
  [
    'encrypt',
    async () =>
      webcrypto.subtle.encrypt({ name: 'AES-GCM', iv: new Uint8Array(12) }, await key(), new Uint8Array(4)),
  ],
  ['gzip', () => promisify<string, Buffer>(gzip)('text')],
  ['brotliCompress', () => promisify<string, Buffer>(zlib.brotliCompress)('text')],
  ['gunzip of large content', () => promisify<Buffer, Buffer>(gunzip)(gzipSync(Buffer.alloc(1_000_000)))],
  [
    'a stream of zlib',
    async () => {
      const stream = createGzip()
      stream.write('x'.repeat(100_000))
      stream.end('end')
      return await text(stream)
    },
  ],
  [
    'CompressionStream',
    async () => text(new Blob(['text']).stream().pipeThrough(new CompressionStream('gzip'))),
  ],
  ['WebAssembly.compile', () => WebAssembly.compile(EMPTY_WASM)],
  ['WebAssembly.instantiate', () => WebAssembly.instantiate(EMPTY_WASM)],
  ['a Blob', () => new Blob(['text']).text()],
  ['a stream of a Blob', () => text(new Blob(['text']).stream())],
  ['a Response of a Blob', () => new Response(new Blob(['text'])).text()],
  ['scrypt of before', () => scryptOfBefore('word', 'salt', 8)],
]

/** Waits until nothing is left to do. Real time passes, and no virtual one. */
const idle = (host: VirtualHost): Promise<void> =>
  vi.waitFor(() => expect(host.work).toBe(0), { interval: 1, timeout: 60_000 })

test.each(kinds)('%s is work, and has its outcome', async (_name, begin) => {
  const host = virtualHost()
  const outcome = host.run(() => begin())
  if (host.work === 0) await settle()
  expect(host.beginnings).toBeGreaterThan(0)
  expect(await outcome).toBeDefined()
  expect(host.work).toBe(0)
})

test('outcomes are delivered in the order of the beginnings', async () => {
  const host = virtualHost()
  const ended: string[] = []
  host.run(() => {
    scrypt('word', 'salt', 8, { N: 2 ** 14 }, () => ended.push('scrypt'))
    gzip('text', () => ended.push('gzip'))
    pbkdf2('word', 'salt', 100_000, 8, 'sha256', () => ended.push('pbkdf2'))
    void crypto.subtle.digest('SHA-256', new Uint8Array(8)).then(() => ended.push('digest'))
  })
  expect(host.work).toBe(4)
  await idle(host)
  // A gzip works a second time for its end, which begins when the first outcome was delivered.
  expect(ended).toEqual(['scrypt', 'pbkdf2', 'digest', 'gzip'])
})

test('an outcome is delivered in the async context of its caller, also behind that of another one', async () => {
  const host = virtualHost()
  const user = new AsyncLocalStorage<string>()
  const seen: unknown[] = []
  const see = () => seen.push(user.getStore())
  host.run(() => {
    user.run('first', () => scrypt('word', 'salt', 8, { N: 2 ** 14 }, see))
    user.run('second', () => pbkdf2('word', 'salt', 1, 8, 'sha256', see))
    user.run('third', () => gzip('text', see))
  })
  await idle(host)
  expect(seen).toEqual(['first', 'second', 'third'])
})

test('errors are outcomes', async () => {
  const host = virtualHost()
  await host.run(async () => {
    await expect(promisify<string, Buffer>(gunzip)('no gzip')).rejects.toMatchObject({ code: 'Z_DATA_ERROR' })
    await expect(
      crypto.subtle.importKey('raw', new Uint8Array(3), 'AES-GCM', true, ['encrypt']),
    ).rejects.toThrow()
    const stream = createGunzip()
    await expect(pipeline([Buffer.from('no gzip')], stream)).rejects.toMatchObject({ code: 'Z_DATA_ERROR' })
  })
  expect(() => host.run(() => scrypt('word', 'salt', -1, () => {}))).toThrow(
    expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }),
  )
  await idle(host)
})

test('a stream makes what it makes elsewhere, of many chunks and of garbage after the end', async () => {
  const host = virtualHost()
  const content = Array.from({ length: 50 }, (_, at) => Buffer.alloc(10_000, `${at}`))
  await host.run(async () => {
    const zipped = await buffer(Readable.from(content).pipe(createGzip()))
    expect(gunzipSync(zipped).equals(Buffer.concat(content))).toBe(true)
    const unzipped = createGunzip()
    unzipped.end(Buffer.concat([gzipSync('one'), gzipSync('two')]))
    expect(await text(unzipped)).toBe('onetwo')
  })
  expect(host.work).toBe(0)
})

test('the work of a stream that is destroyed meanwhile ends', async () => {
  const host = virtualHost()
  const stream = host.run(() => {
    const zipped = createGzip()
    zipped.write(Buffer.alloc(100_000))
    return zipped.destroy()
  })
  expect(host.work).toBe(1)
  await idle(host)
  expect(stream.destroyed).toBe(true)
})

test('a Blob is read into the memory of the reader', async () => {
  const host = virtualHost()
  const read = host.run(async () => {
    const reader = new Blob(['text']).stream().getReader({ mode: 'byob' })
    const parts = [await reader.read(new Uint8Array(3)), await reader.read(new Uint8Array(3))]
    expect(parts.map(({ value }) => `${Buffer.from(value ?? [])}`)).toEqual(['tex', 't'])
    expect((await reader.read(new Uint8Array(3))).done).toBe(true)
    expect(await text(new Blob([]).stream())).toBe('')
    const empty = new Blob([]).stream().getReader({ mode: 'byob' })
    expect((await empty.read(new Uint8Array(3))).done).toBe(true)
  })
  await read
  await idle(host)
})

test('without a callback a function works at once', () => {
  const host = virtualHost()
  const { privateKey, publicKey } = crypto.generateKeyPairSync('ed25519')
  host.run(() => {
    const signature = sign(null, Buffer.from('x'), privateKey)
    expect(crypto.verify(null, Buffer.from('x'), publicKey, signature)).toBe(true)
  })
  expect(host.work).toBe(0)
})

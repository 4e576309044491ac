// The hash of keys: HalfSipHash-1-3, under a key of the process.

import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fixKeyHash, hashOfKey } from '../../src/storage/key-hash.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text)

// Pairs with the same 32-bit FNV-1a.
const PAIRS = [
  ['declinate', 'macallums'],
  ['key', 'keyb44nrm1'],
] as const

test('keys that were chosen for one key of the hash do not collide under another', () => {
  fixKeyHash(1)
  const places = 1 << 12
  const aimed: Uint8Array[] = []
  for (let at = 0; aimed.length < 64; at++) {
    const key = bytes(`k${at}`)
    if ((hashOfKey(key) & (places - 1)) === 7) aimed.push(key)
  }
  fixKeyHash(2)
  const reached = new Set(aimed.map((key) => hashOfKey(key) & (places - 1)))
  expect(reached.size).toBeGreaterThan(56)
  for (const [one, other] of PAIRS) expect(hashOfKey(bytes(one))).not.toBe(hashOfKey(bytes(other)))
})

test('each byte and the length of a key count', () => {
  fixKeyHash(3)
  const keys = Array.from({ length: 40 }, (_, length) => new Uint8Array(length))
  const changed = keys.flatMap((key) => [...key.keys()].map((at) => key.with(at, 1)))
  const all = [...keys, ...changed]
  expect(new Set(all.map(hashOfKey)).size).toBe(all.length)
})

test('two processes have different hashes', () => {
  const module = join(import.meta.dirname, '../../src/storage/key-hash.ts')
  const program = `import { hashOfKey } from ${JSON.stringify(module)}; console.log(hashOfKey(Buffer.from('key')))`
  const hashes = [1, 2, 3].map(() =>
    `${execFileSync(process.execPath, ['--input-type=module-typescript', '-e', program], { stdio: 'pipe' })}`.trim(),
  )
  expect(new Set(hashes).size).toBeGreaterThan(1)
})

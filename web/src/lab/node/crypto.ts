// Functions of `node:crypto` that the shipped code below the lab uses.

import { sha256 } from '@noble/hashes/sha2.js'

interface Digest {
  update(bytes: Uint8Array): Digest
  digest(): Uint8Array
}

export const randomBytes = (size: number): Buffer => Buffer.from(crypto.getRandomValues(new Uint8Array(size)))

export function createHash(algorithm: string): Digest {
  checkAlgorithm(algorithm)
  const state = sha256.create()
  const digest: Digest = {
    update(bytes) {
      state.update(bytes)
      return digest
    },
    digest: () => Buffer.from(state.digest()),
  }
  return digest
}

export function hash(algorithm: string, bytes: Uint8Array, encoding: string): Buffer {
  checkAlgorithm(algorithm)
  if (encoding !== 'buffer') throw new Error(`no hash as ${encoding} in a page`)
  return Buffer.from(sha256(bytes))
}

function checkAlgorithm(algorithm: string): void {
  if (algorithm !== 'sha256') throw new Error(`no ${algorithm} in a page`)
}

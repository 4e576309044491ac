// Randomness that code takes from its process, replaced: what clients and recipes draw follows from a seed.

import type { randomBytes, randomUUID } from 'node:crypto'
import { createRequire, syncBuiltinESMExports } from 'node:module'
import type { Random } from '../../jepsen-lite/workload/random.ts'

const require = createRequire(import.meta.url)
const crypto: { randomBytes: typeof randomBytes; randomUUID: typeof randomUUID } = require('node:crypto')
const real = { random: Math.random, randomBytes: crypto.randomBytes, randomUUID: crypto.randomUUID }

/**
 * From now on code draws from the stream that `current` returns; undefined: from the process. Returns a function that
 * ends that.
 */
export function replaceRandomness(current: () => Random | undefined): () => void {
  const bytes = (random: Random, size: number): Buffer =>
    Buffer.from(Array.from({ length: size }, () => random.below(256)))
  Math.random = () => current()?.next() ?? real.random()
  Object.assign(crypto, {
    randomBytes: (size: number) => {
      const random = current()
      return random === undefined ? real.randomBytes(size) : bytes(random, size)
    },
    randomUUID: () => {
      const random = current()
      return random === undefined ? real.randomUUID() : bytes(random, 16).toString('hex')
    },
  })
  syncBuiltinESMExports()
  return () => {
    const { random, randomBytes, randomUUID } = real
    Math.random = random
    Object.assign(crypto, { randomBytes, randomUUID })
    syncBuiltinESMExports()
  }
}

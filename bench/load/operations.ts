// Which operation comes next: put, get or range, of which key, with which value.

import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { keyName, type Load } from './load.ts'
import type { Target } from './target.ts'

/** Values are cut from this at random places, so that no two stores gain from compressing what repeats. */
const NOISE_BYTES = 4 * 1024 * 1024
const FILL_TRIES = 10
const AGAIN_MS = 500

/** Begins the next operation on `target`; returns undefined when every key is written. */
export function operationsOf(load: Load, target: Target): () => Promise<void> | undefined {
  const { reads, range, keys, value_bytes: valueBytes, consistency, fill_from: fillFrom } = load
  const noise = randomBytes(NOISE_BYTES + valueBytes)
  const below = (bound: number): number => Math.floor(Math.random() * bound)
  const value = (): Uint8Array => {
    const at = below(NOISE_BYTES)
    return noise.subarray(at, at + valueBytes)
  }
  if (fillFrom !== null) {
    let next = fillFrom
    return () => (next < keys ? putUntilDone(target, keyName(next++), value()) : undefined)
  }
  return () => {
    if (reads === 0 || Math.random() >= reads) return target.put(keyName(below(keys)), value())
    if (range === 1) return target.get(keyName(below(keys)), consistency)
    return target.range(keyName(below(Math.max(1, keys - range + 1))), range, consistency)
  }
}

/** A busy machine may make a write time out. A write that fills the store may be repeated. */
async function putUntilDone(target: Target, key: string, value: Uint8Array): Promise<void> {
  for (let left = FILL_TRIES - 1; left > 0; left--) {
    try {
      return await target.put(key, value)
    } catch {
      await sleep(AGAIN_MS)
    }
  }
  await target.put(key, value)
}

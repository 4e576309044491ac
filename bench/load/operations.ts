// Which operation comes next: put, update, get or range, of which key, with which value.

import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { keyName, type Load } from './load.ts'
import type { Target } from './target.ts'

/** Values are cut from this at random places, so that no two stores gain from compressing what repeats. */
const NOISE_BYTES = 4 * 1024 * 1024
/** As in bench/generator/main.go. */
const UPDATED_KEYS_PER_WORKER = 16
const FILL_TRIES = 10
const AGAIN_MS = 500

/** Begins the next operation on `target`; returns undefined when every key is written. */
export function operationsOf(load: Load, target: Target): () => Promise<void> | undefined {
  const { reads, range, keys, value_bytes: valueBytes, consistency, writes, fill_from: fillFrom } = load
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
  const write = {
    put: () => target.put(keyName(below(keys)), value()),
    create: () => create(target, value()),
    update: updates(target, load.in_flight, value),
  }[writes]
  return () => {
    if (reads === 0 || Math.random() >= reads) return write()
    if (range === 1) return target.get(keyName(below(keys)), consistency)
    return target.range(keyName(below(Math.max(1, keys - range + 1))), range, consistency)
  }
}

const RUN = Date.now().toString(36)
let created = 0

/** A key that no load has written before. */
const newName = (): string => `new-${RUN}-${String(++created).padStart(10, '0')}`

async function create(target: Target, value: Uint8Array): Promise<void> {
  await target.update(newName(), value, 0)
}

interface UpdatedKey {
  readonly name: string
  /** 0: it does not exist yet. */
  readonly revision: number
}

/**
 * Updates the key whose last update is the longest ago. After an error its revision is not known: another key replaces
 * it.
 */
function updates(target: Target, inFlight: number, value: () => Uint8Array): () => Promise<void> {
  const newKey = (): UpdatedKey => ({ name: newName(), revision: 0 })
  const keys = Array.from({ length: inFlight * UPDATED_KEYS_PER_WORKER }, newKey)
  return async () => {
    const { name, revision } = keys.shift() ?? newKey()
    try {
      keys.push({ name, revision: await target.update(name, value(), revision) })
    } catch (error) {
      keys.push(newKey())
      throw error
    }
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

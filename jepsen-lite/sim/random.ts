// Seeded randomness. It is keyed and not one stream: every draw names its purpose. So if one event is taken out of a
// schedule, the draws of the others stay the same, and shrinking works.

/** The purpose of a draw, its first key. The numbers never change, because saved schedules would run differently. */
export const DRAW = {
  message: 1,
  handshake: 2,
  write: 3,
  read: 4,
  election: 5,
  clock: 6,
  crash: 7,
  restart: 8,
  replica: 10,
  join: 11,
  core: 12,
  swarm: 15,
  op: 16,
  recovery: 17,
  space: 18,
} as const

/** 32 random bits from a seed and three keys. */
export function bits(seed: number, purpose: number, entity: number, count: number): number {
  let hash = Math.imul(seed ^ Math.imul(purpose, 0x9e3779b1), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 15) ^ Math.imul(entity + 1, 0xc2b2ae35), 0x2c1b3c6d)
  hash = Math.imul(hash ^ (hash >>> 13) ^ Math.imul(count + 1, 0x27d4eb2f), 0x297a2d39)
  return mixed(hash)
}

/** Different bits from the same draw. */
export function mixed(word: number): number {
  let hash = word
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** Uniform in [0, 1). */
export const unit = (word: number): number => (word >>> 0) / 0x1_0000_0000

export const uniform = (seed: number, purpose: number, entity: number, count: number): number =>
  unit(bits(seed, purpose, entity, count))

/** A separate stream for one consumer, such as the election time-outs of one process. */
export function stream(seed: number, purpose: number, entity: number): () => number {
  let count = 0
  return () => uniform(seed, purpose, entity, count++)
}

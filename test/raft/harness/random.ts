// Seeded randomness. Keyed, not one stream: taking one event out of a schedule must not reshuffle what the others draw, or
// shrinking would chase its own tail.

/** Uniform in [0, 1) from a seed and any number of keys (splitmix-like mixing of 32-bit words). */
export function keyed(seed: number, ...keys: readonly number[]): number {
  let hash = seed >>> 0
  for (const key of keys) hash = mix((hash ^ mix(key >>> 0)) + 0x9e3779b9)
  return mix(hash) / 0x1_0000_0000
}

/** A stream of its own for one consumer, such as the election timeouts of one process. */
export function stream(seed: number, ...keys: readonly number[]): () => number {
  let count = 0
  return () => keyed(seed, ...keys, count++)
}

function mix(word: number): number {
  let x = word >>> 0
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}

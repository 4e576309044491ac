// Recipes that do not keep their promises are found, by clients on simulated clusters.

import { expect, test, vi } from 'vitest'
import type { Recipe } from '../../../jepsen-lite/sim/index.ts'
import type { LockClient } from '../../../src/recipes/fair-lock-queue.ts'

const wrong = vi.hoisted(() => ({ kind: 'none' }))

vi.mock('../../../src/recipes/fair-lock-queue.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../../src/recipes/fair-lock-queue.ts')>()
  return {
    ...original,
    async acquire(kv: LockClient, ...rest: [never, never]) {
      const held = await original.acquire(kv, ...rest)
      if (wrong.kind === 'unguarded')
        return {
          ...held,
          guard: () => ({ key: 'no such key', exists: false }),
          txn: (txn: never) => kv.txn(txn),
        }
      return held
    },
  }
})

vi.mock('../../../src/recipes/watch-helpers.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../../src/recipes/watch-helpers.ts')>()
  const changeAfter: typeof original.changeAfter = (kv, range, revision, signal, wakesOn) =>
    wrong.kind === 'deaf'
      ? new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
      : original.changeAfter(kv, range, revision, signal, wakesOn)
  return { ...original, changeAfter }
})

vi.mock('../../../src/recipes/queue-item.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../../src/recipes/queue-item.ts')>()
  const heldItem: typeof original.heldItem = (...args) => {
    const item = original.heldItem(...args)
    const ack: typeof item.ack = async (options) => {
      if (wrong.kind === 'not acknowledged' && item.attempts === 1) return
      await item.ack(options)
    }
    return { ...item, ack }
  }
  return { ...original, heldItem }
})

const { generateRecipe } = await import('../../../jepsen-lite/recipes/generate.ts')
const { runRecipes } = await import('../../../jepsen-lite/recipes/run.ts')

/** The rule that is broken in a schedule: that of this seed, or one of the next two. */
async function brokenRule(recipe: Recipe, seed: number): Promise<string | undefined> {
  for (const one of [seed, seed + 1, seed + 2]) {
    const { violation } = await runRecipes(generateRecipe(one, recipe))
    if (violation !== undefined) return violation.invariant
  }
  return undefined
}

// To choose a schedule for a new defect, try seeds until one finds it soon.
test.each<[string, Recipe, number]>([
  ['unguarded', 'lock', 26],
  ['unguarded', 'election', 26],
  ['not acknowledged', 'queue', 37],
  ['deaf', 'lock', 26],
])('%s: a %s is found', async (kind, recipe, seed) => {
  wrong.kind = kind
  expect(await brokenRule(recipe, seed)).toMatch(/^(?:CHECK|RECIPE)-/)
})

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

/** The rule that a short schedule breaks. */
async function brokenRule(recipe: Recipe): Promise<string | undefined> {
  for (const seed of [2, 4, 14, 16]) {
    const { violation } = await runRecipes(generateRecipe(seed, recipe))
    if (violation !== undefined) return violation.invariant
  }
  return undefined
}

test.each<[string, Recipe]>([
  ['unguarded', 'lock'],
  ['unguarded', 'election'],
  ['not acknowledged', 'queue'],
  ['deaf', 'lock'],
])('%s: a %s is found', async (kind, recipe) => {
  wrong.kind = kind
  expect(await brokenRule(recipe)).toMatch(/^(?:CHECK|RECIPE)-/)
})

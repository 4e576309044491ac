// Recipes that do not keep their promises are found, by clients on simulated clusters.

import { expect, test, vi } from 'vitest'
import type { Recipe } from '../../../jepsen-lite/sim/index.ts'
import type { LockClient } from '../../../src/recipes/line.ts'

const wrong = vi.hoisted(() => ({ kind: 'none' }))

vi.mock('../../../src/recipes/line.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../../src/recipes/line.ts')>()
  return {
    ...original,
    async takeIn(kv: LockClient, ...rest: [never, never]) {
      const held = await original.takeIn(kv, ...rest)
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

vi.mock('../../../src/recipes/watching.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../../src/recipes/watching.ts')>()
  const changeAfter: typeof original.changeAfter = (kv, range, revision, signal, isReason) =>
    wrong.kind === 'deaf'
      ? new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
      : original.changeAfter(kv, range, revision, signal, isReason)
  return { ...original, changeAfter }
})

vi.mock('../../../src/recipes/queue-item.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../../src/recipes/queue-item.ts')>()
  class Forgetful extends original.HeldItem {
    override async ack(...args: []): Promise<void> {
      if (wrong.kind === 'not acknowledged' && this.attempts === 1) return
      await super.ack(...args)
    }
  }
  return { ...original, HeldItem: Forgetful }
})

const { generateRecipe } = await import('../../../jepsen-lite/recipes/generate.ts')
const { runRecipes } = await import('../../../jepsen-lite/recipes/run.ts')

const rulesOf = async (recipe: Recipe): Promise<string[]> => {
  const rules: string[] = []
  // The first schedule takes long.
  for (let seed = 2; seed <= 5; seed++) {
    const { violation } = await runRecipes(generateRecipe(seed, recipe))
    if (violation !== undefined) rules.push(violation.invariant)
    if (rules.length > 0) break
  }
  return rules
}

test.each<[string, Recipe]>([
  ['unguarded', 'lock'],
  ['unguarded', 'election'],
  ['not acknowledged', 'queue'],
  ['deaf', 'lock'],
])('%s: a %s is found', async (kind, recipe) => {
  wrong.kind = kind
  expect(await rulesOf(recipe)).toContainEqual(expect.stringMatching(/^(?:CHECK|RECIPE)-/))
})

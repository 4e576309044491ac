// Where the simulator itself falls over, no mutant has been caught: the schedule in which it did is known, and falls
// over without the mutant too.

import { expect, test } from 'vitest'
import { type Budget, runLayer } from '../../../jepsen-lite/mutants/layers.ts'
import type { Mutant } from '../../../jepsen-lite/mutants/mutant.ts'
import { Workbench } from '../../../jepsen-lite/mutants/workbench.ts'

const harmless: Mutant = { id: 'M00', title: 'nothing', why: '', layers: ['sim'], edits: [] }
const budget: Budget = { seed: 1, searches: 1, schedules: 3, seconds: 40, shrinkSeconds: 0 }

/** In the second schedule. */
const FALLS_OVER = [
  ['by an error', "if (seed === 2) throw new Error('the harness is broken')"],
  ['by its end', 'if (seed === 2) process.exit(7)'],
] as const

test.each(FALLS_OVER)('%s', async (_how, falls) => {
  const bench = new Workbench(false)
  try {
    bench.plant([
      {
        file: 'jepsen-lite/sim/search.ts',
        find: 'const schedule = generate(seed, this.nodes, rare)',
        replace: `${falls}\n    const schedule = generate(seed, this.nodes, rare)`,
      },
    ])
    const caught = await runLayer('sim', bench.dir, harmless, budget)
    expect(caught).toMatchObject({ by: 'CRASH', seed: 2 })
    // What the control asks of the copy without the bug.
    const again = { ...budget, schedules: 1, seed: caught?.seed ?? budget.seed, guide: caught?.rare }
    expect(await runLayer('sim', bench.dir, harmless, again)).toMatchObject({ by: 'CRASH', seed: 2 })
  } finally {
    bench.remove()
  }
})

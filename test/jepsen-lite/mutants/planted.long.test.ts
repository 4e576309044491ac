// Every planted bug is found, by the simulator or by the tests that it names.

import { expect, test } from 'vitest'
import { detect, repeat } from '../../../jepsen-lite/mutants/detection.ts'
import { type Mutant, parseMutant, readMutants } from '../../../jepsen-lite/mutants/mutant.ts'
import { type MutantResult, runMutants } from '../../../jepsen-lite/mutants/run.ts'
import { Workbench } from '../../../jepsen-lite/mutants/workbench.ts'

const budget = { schedules: 400, seconds: 120 }

async function resultOf(mutant: Mutant, limits = budget): Promise<MutantResult | undefined> {
  const results: MutantResult[] = []
  await runMutants([mutant], limits, 1, (result) => results.push(result))
  return results[0]
}

test.each(readMutants())('$id is found', async (mutant) => {
  expect((await resultOf(mutant))?.detection?.by).toEqual(expect.any(String))
})

const LINE = '    const schedule = generate(seed, this.nodes, rare)'

/** Changes the line of the simulator that generates a schedule. */
const simulatorWith = (line: string): Mutant =>
  parseMutant(
    'simulator',
    `Bug: x
Effect: y
Rules: SIM-1
Command: jepsen-lite sim --seed 1
diff --git a/jepsen-lite/sim/search.ts b/jepsen-lite/sim/search.ts
--- a/jepsen-lite/sim/search.ts
+++ b/jepsen-lite/sim/search.ts
@@ -85,3 +85,3 @@
     const rare = guide ?? this.coverage.rarest(number)
-${LINE}
+${line}
     const result = judged(schedule)
`,
  )

test('a change that is no bug is not found', async () => {
  const result = await resultOf(simulatorWith(`${LINE} // the same`), { schedules: 2, seconds: 60 })
  expect(result).toMatchObject({ detection: undefined })
})

test.each([
  ['an error', "throw new Error('the simulator is broken')"],
  ['an early end', 'process.exit(7)'],
])('a simulator that crashes by %s names the schedule, which crashes again', async (_how, crash) => {
  const bench = new Workbench()
  try {
    bench.plant(simulatorWith(`${LINE}; if (seed === 2) ${crash}`))
    const command = { kind: 'sim', seed: 1 } as const
    const limits = { schedules: 3, seconds: 60 }
    const detection = await detect(bench.dir, command, limits)
    expect(detection).toMatchObject({ by: 'CRASH', schedule: { number: 2, seed: 2 } })
    if (detection === undefined) return
    expect(await repeat(bench.dir, command, detection, limits)).toMatchObject({ by: 'CRASH' })
  } finally {
    bench.remove()
  }
})

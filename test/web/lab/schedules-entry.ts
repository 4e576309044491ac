// Runs drawn schedules in a page: `runDrawn(seed, rule)` returns the hash of a run, perhaps with a wrong rule.

import '../../../web/src/lab/node/buffer.ts'
import { generate, runSchedule, type WrongRuleName } from '../../../jepsen-lite/sim/index.ts'
import { loadRule } from '../../../jepsen-lite/wrong-rules/load-rule.ts'

Object.assign(globalThis, {
  async runDrawn(seed: number, rule?: WrongRuleName) {
    await loadRule(rule)
    return runSchedule({ ...generate(seed), ...(rule && { rule }) }).trace
  },
})

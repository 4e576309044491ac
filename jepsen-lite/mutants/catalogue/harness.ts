// Bugs of the tester itself. Each must make a test of jepsen-lite fail: a tester that sees nothing passes every store.

import type { Mutant } from '../mutant.ts'
import { edit, UNIT } from './edit.ts'

const PARTITION = 'jepsen-lite/checker/partition.ts'
const CHECKER_TESTS = ['anomalies', 'recorded', 'search.prop'].map(
  (name) => `test/jepsen-lite/checker/${name}.test.ts`,
)
const SIM_TESTS = ['test/jepsen-lite/sim/harness.test.ts']

export const HARNESS: readonly Mutant[] = [
  {
    id: 'K1',
    title: 'the checker leaves out a key',
    why: 'An error in that key is never seen.',
    layers: UNIT,
    tests: CHECKER_TESTS,
    edits: [
      edit(
        PARTITION,
        'return new Map([...keys].sort(([, a], [, b]) => a.length - b.length))',
        'return new Map([...keys].sort(([, a], [, b]) => a.length - b.length).slice(1))',
      ),
    ],
  },
  {
    id: 'K2',
    title: 'the checker treats unknown writes as failed ones',
    why: 'It rejects correct histories.',
    layers: UNIT,
    tests: CHECKER_TESTS,
    edits: [
      edit(
        PARTITION,
        "if (call.outcome.kind === 'fail' || isStaleRead(call)) continue",
        "if (call.outcome.kind !== 'ok' || isStaleRead(call)) continue",
      ),
    ],
  },
  {
    id: 'K3',
    title: 'the checker drops reads',
    why: 'Without them nearly everything is linearizable.',
    layers: UNIT,
    tests: CHECKER_TESTS,
    edits: [
      edit(
        PARTITION,
        'if (step === undefined) return\n',
        "if (step === undefined || call.op.f === 'get') return\n",
      ),
    ],
  },
  {
    id: 'K4',
    title: 'partitions cut nothing',
    why: 'Every schedule passes, because it has no effect.',
    layers: UNIT,
    tests: SIM_TESTS,
    edits: [
      edit(
        'jepsen-lite/sim/injector.ts',
        '    for (const [from, to] of links) network.cut(from, to, mode)\n',
        '',
      ),
    ],
  },
  {
    id: 'K5',
    title: 'the clock of one machine stands still',
    why: 'It never times out, and hides what time-outs would show.',
    layers: UNIT,
    tests: SIM_TESTS,
    edits: [
      edit(
        'jepsen-lite/sim/process.ts',
        'rateOf(config.clocks, u),',
        'place === 0 ? 1e-9 : rateOf(config.clocks, u),',
      ),
    ],
  },
]

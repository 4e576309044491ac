// Runs drawn schedules in a page: `runDrawn(seed)` returns the hash of a run.

import '../../../web/src/lab/node/buffer.ts'
import { generate, runSchedule } from '../../../jepsen-lite/sim/index.ts'

Object.assign(globalThis, { runDrawn: (seed: number) => runSchedule(generate(seed)).trace })

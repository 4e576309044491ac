// Users with rights in the simulator. Its model of rights shares no code with the shipped one.

import { expect, test } from 'vitest'
import { Run, type RunResult } from '../../../jepsen-lite/sim/run.ts'
import {
  SCHEDULE_VERSION,
  type Schedule,
  type ScheduledOp,
} from '../../../jepsen-lite/sim/schedule/schedule.ts'
import type { SimCluster } from '../../../jepsen-lite/sim/world/cluster.ts'
import { usualLimits } from '../../../jepsen-lite/sim/world/node-limits.ts'
import { Driver } from '../../../src/server/node/driver.ts'
import { calmConfig } from './calm-config.ts'

const MS = 4000

/** Every node gets changes all the time. The leader gets changes of rights, which overtake those that are forwarded. */
function schedule(): Schedule {
  const op = (at: number, kind: ScheduledOp['kind'], client: number): ScheduledOp => ({
    ...{ at, kind, node: kind === 'rights' ? 'leader' : at % 3, client, key: at % 3, x: at },
  })
  const ops: ScheduledOp[] = []
  for (let at = 1500; at < MS; at += 20) ops.push(op(at, 'rights', 6))
  for (let at = 2000; at < MS; at += 10) ops.push(op(at, 'permitted', (at / 10) % 6))
  const slow = { delayMs: 5, jitterMs: 5, writeMs: 0.5, limits: usualLimits }
  const config = calmConfig({ nodes: 3, ms: MS, keys: 3, clients: 7, ...slow })
  return { version: SCHEDULE_VERSION, seed: 1, config, ops, faults: [] }
}

/** Without the time after the faults. */
function run(prepare: (cluster: SimCluster) => void = () => {}): RunResult {
  const running = new Run(schedule())
  prepare(running.cluster)
  try {
    running.cluster.runUntil(MS)
  } catch (error) {
    running.threw(error)
  }
  return running.result()
}

test('no entry changes anything to which its user has no right at its index', () => {
  const { violation, probes } = run()
  expect(violation).toBeUndefined()
  expect(probes).toMatchObject({
    'change by a user with the right': expect.toSatisfy((times: number) => times > 10),
    'change without a right refused': expect.toSatisfy((times: number) => times > 10),
    'right changed before a change was applied': 1,
  })
})

test('a change that is proposed again, and not decided on again, is found', () => {
  class Careless extends Driver {
    override propose(...[request, timeoutMs, done]: Parameters<Driver['propose']>): void {
      super.propose(request, timeoutMs, (result) => {
        const isOutdated =
          result.ok &&
          result.value.outcome.kind === 'refused' &&
          result.value.outcome.reason === 'rights-changed'
        if (!isOutdated) return done(result)
        this.propose({ ...request, authRevision: this.auth.revision }, timeoutMs, done)
      })
    }
  }
  const { violation } = run((cluster) => {
    cluster.createDriver = (options) => new Careless(options)
  })
  expect(violation?.invariant).toBe('AUTH-10')
})

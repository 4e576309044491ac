// `simulate` of `quorate/testing`. The simulation is loaded when it is called: it has the node and its store in it.

import {
  type Check,
  checkOptions,
  checkValue,
  choiceCheck,
  functionCheck,
  objectCheck,
  textCheck,
  timeoutCheck,
} from '../../src/client/validators.ts'
import { SimulatedSchedule } from '../simulation/schedule/index.ts'
import type { SimulationOptions, SimulationResult, World } from '../simulation/types.ts'

/** A cluster of more nodes is slow, and shows nothing new. */
const NODES_MAX = 7
const SEED_MAX = 2 ** 32 - 1
const TIMING_MS_MAX = 3_600_000

const wholeCheck =
  (min: number, max: number): Check =>
  (value) =>
    Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max
      ? undefined
      : `a whole number from ${min} to ${max}`

const timingCheck: Check = (value) =>
  typeof value === 'number' && value >= 0 && value <= TIMING_MS_MAX
    ? undefined
    : `a number of milliseconds from 0 to ${TIMING_MS_MAX.toLocaleString('en')}`

const scheduleCheck: Check = (value) =>
  value instanceof SimulatedSchedule
    ? undefined
    : textOrEmpty(value) && "a text, such as '120 crash leader for 500'"
const textOrEmpty: Check = (value) => (value === '' ? undefined : textCheck(value))

/**
 * Runs `body` in a world of its own: a cluster of nodes, and processes of your code, in virtual time. Everything random
 * follows from the seed. Resolves when the body has ended.
 *
 * @throws SimulationError when a promise of the test does not hold, or the body or a process throws
 * @example
 * await simulate({ seed: 4 }, async (world) => {
 *   const worker = world.process('worker', async (self) => work(self.client(), self.signal))
 *   await world.after(500)
 *   worker.pause()
 *   await world.after(60_000)
 *   worker.resume()
 *   await world.eventually('all work is done', () => isDone())
 * })
 */
export async function simulate(
  options: SimulationOptions,
  body: (world: World) => unknown,
): Promise<SimulationResult> {
  checkSimulationOptions(options)
  checkValue('simulate', 'body', body, functionCheck)
  const { runSimulation } = await import('../simulation/index.ts')
  return runSimulation(options, body)
}

/** @throws TypeError when they are no options of a simulation */
export function checkSimulationOptions(options: SimulationOptions): void {
  checkOptions('simulate', options, {
    seed: wholeCheck(0, SEED_MAX),
    nodes: wholeCheck(1, NODES_MAX),
    schedule: scheduleCheck,
    determinism: choiceCheck('check'),
    report: textCheck,
    virtualMsMax: timeoutCheck,
    timing: objectCheck,
  })
  checkOptions('simulate: timing', options.timing ?? {}, {
    heartbeatMs: timingCheck,
    electionMinMs: timingCheck,
    electionMaxMs: timingCheck,
    commitDelayMs: timingCheck,
  })
}

// Simulations of a service: the shipped nodes and the user's own code, in virtual time, from one seed.

import { randomInt } from 'node:crypto'
import type { RecordedHistory } from '../history/recorded-history.ts'
import { writeReport } from '../report/write-report.ts'
import { userFrame } from './awaited-places.ts'
import { loadClient } from './client-modules.ts'
import { SimulationError } from './error.ts'
import { renderFailureReport } from './failure-report.ts'
import { type RunModes, Simulation } from './simulation.ts'
import type { SimulationOptions, SimulationResult, World } from './types.ts'

type Body = (world: World) => unknown

/** Settles when no run of this thread is in progress: each replaces global functions. */
let before: Promise<unknown> = Promise.resolve()

/** Runs the body, and resolves when it has ended. Rejects with a `SimulationError`. */
export function runSimulation(options: SimulationOptions, body: Body): Promise<SimulationResult> {
  const ended = before.then(async () => {
    await loadClient()
    const seed = options.seed ?? randomInt(2 ** 31)
    const failed = new Map<unknown, RecordedHistory>()
    const run = async (modes?: RunModes): Promise<SimulationResult> => {
      const simulation = new Simulation(options, seed, modes)
      try {
        return await simulation.run(body)
      } catch (error) {
        failed.set(error, simulation.history)
        throw error
      }
    }
    const differ = ({ virtualMs, history }: SimulationResult, what: string): SimulationError => {
      const { schedule = '' } = options
      const text = typeof schedule === 'string' ? schedule : schedule.text
      const error = new SimulationError('not_deterministic', what, {
        seed,
        schedule: text,
        virtualMs,
        subject: '',
        trace: [],
      })
      failed.set(error, history)
      return error
    }
    try {
      return options.determinism === 'check' ? await runTwice(run, differ) : await run()
    } catch (first) {
      const error = await withPlaces(first, run)
      const history = failed.get(error)
      const { report } = options
      if (error instanceof SimulationError && history !== undefined && report !== undefined)
        error.addReport(writeReport(report, () => renderFailureReport(error, history)))
      throw error
    }
  })
  before = ended.catch(() => {})
  return ended
}

/** The second run must take the steps of the first one. */
async function runTwice(
  run: (modes: RunModes) => Promise<SimulationResult>,
  differ: (second: SimulationResult, what: string) => SimulationError,
): Promise<SimulationResult> {
  const steps: string[] = []
  const first = await run({ stepped: (step) => void steps.push(step) })
  let at = 0
  const compare = (step: string): string | undefined => {
    const expected = steps[at++]
    if (step === expected) return undefined
    const frame = userFrame(new Error('here'))
    const place = frame === undefined ? '' : ` ${frame}`
    return `two runs differ in step ${at}: "${expected ?? 'the end'}", then "${step}"${place}. ${DIFFERS}`
  }
  const second = await run({ stepped: compare })
  if (second.traceHash === first.traceHash && at === steps.length) return second
  const next = steps[at]
  throw differ(
    second,
    `two runs differ after step ${at}${next === undefined ? '' : `: "${next}", then the end`}. ${DIFFERS}`,
  )
}

const DIFFERS =
  'Code that keeps state between runs, or has a real clock, real randomness or the addresses of objects, does this'

/** Runs it again to find out where code waits. */
async function withPlaces(
  error: unknown,
  run: (modes: RunModes) => Promise<SimulationResult>,
): Promise<unknown> {
  if (!(error instanceof SimulationError) || (error.code !== 'deadlock' && error.code !== 'virtual_time'))
    return error
  try {
    await run({ places: true })
  } catch (again) {
    if (again instanceof SimulationError && again.code === error.code) return again
  }
  return error
}

// A scenario of a user in a module of its own: the default export is the body of `simulate`, `options` are its options.

import { pathToFileURL } from 'node:url'
import { isObject } from '../../src/operations/forms/decode.ts'
import { SimulationError } from '../simulation/error.ts'
import { SimulatedSchedule } from '../simulation/schedule/index.ts'
import {
  type SeedProgress,
  type SeedRun,
  type SeedSearchPlan,
  type SeedSearchResult,
  searchSeeds,
} from '../simulation/seed-search.ts'
import type { SimulationOptions, World } from '../simulation/types.ts'
import { checkSimulationOptions, simulate } from './simulate.ts'

export { calledFrames } from '../simulation/awaited-places.ts'
export type { SeedFailure, SeedProgress, SeedSearchResult } from '../simulation/seed-search.ts'

export interface Scenario {
  readonly body: (world: World) => unknown
  readonly options: SimulationOptions
}

type Exports = Readonly<Record<string, unknown>>

/** Rejects with whatever the module throws, or with a TypeError when it does not export a scenario. */
export async function loadScenario(path: string): Promise<Scenario> {
  const module: Exports = await import(pathToFileURL(path).href)
  // The compiler of TypeScript writes a CommonJS module so: Node.js has all its exports in the default one.
  const isCompiled = isObject(module.default) && module.default.__esModule === true
  const { default: body, options = {} } = isCompiled ? (module.default as Exports) : module
  if (typeof body !== 'function')
    throw new TypeError('it has no scenario: export default async (world) => { … }')
  if (!isObject(options))
    throw new TypeError('its options are no object: export const options = { nodes: 3 }')
  return { body: (world) => body(world), options }
}

/** @throws RangeError when the text is no schedule */
export const readSchedule = (text: string): SimulatedSchedule => new SimulatedSchedule(text)

/**
 * The seeds and the schedules of the plan apply, not those of the options. A report, if the options have its path, is
 * written when the search is over. It is about the failure that the result has, not about those met on the way.
 */
export async function searchScenario(
  { body, options }: Scenario,
  plan: Omit<SeedSearchPlan, 'nodes'>,
  onProgress: (progress: SeedProgress) => void,
): Promise<SeedSearchResult> {
  checkSimulationOptions(options)
  const { report, ...others } = options
  const run: SeedRun = (seed, schedule) => simulate({ ...others, seed, schedule }, body)
  const result = await searchSeeds(run, { ...plan, nodes: options.nodes }, onProgress)
  const { failure } = result
  if (failure === undefined || report === undefined) return result
  const { seed, schedule } = failure.shrunk
  const error = await simulate({ ...others, seed, schedule, report }, body).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  // A scenario that reads a real clock may pass now.
  if (!(error instanceof SimulationError)) return result
  return { ...result, failure: { ...failure, shrunk: { seed, schedule, error } } }
}

// A scenario of a user in a module of its own: the default export is the body of `simulate`, `options` are its options.

import { pathToFileURL } from 'node:url'
import { SimulatedSchedule } from '../simulation/schedule/index.ts'
import {
  type SeedProgress,
  type SeedSearchPlan,
  type SeedSearchResult,
  searchSeeds,
} from '../simulation/seed-search.ts'
import type { SimulationOptions, World } from '../simulation/types.ts'
import { simulate } from './simulate.ts'

export type { SeedFailure, SeedProgress, SeedSearchResult } from '../simulation/seed-search.ts'

export interface Scenario {
  readonly body: (world: World) => unknown
  readonly options: SimulationOptions
}

/** Rejects with whatever the module throws, or with a TypeError when it does not export a scenario. */
export async function loadScenario(path: string): Promise<Scenario> {
  const { default: body, options = {} }: Readonly<Record<string, unknown>> = await import(
    pathToFileURL(path).href
  )
  if (typeof body !== 'function')
    throw new TypeError('it has no scenario: export default async (world) => { … }')
  if (typeof options !== 'object' || options === null)
    throw new TypeError('its options are no object: export const options = { nodes: 3 }')
  return { body: (world) => body(world), options }
}

/** @throws RangeError when the text is no schedule */
export const readSchedule = (text: string): SimulatedSchedule => new SimulatedSchedule(text)

/** The seeds and the schedules of the plan apply, not those of the options. */
export const searchScenario = (
  { body, options }: Scenario,
  plan: Omit<SeedSearchPlan, 'nodes'>,
  onProgress: (progress: SeedProgress) => void,
): Promise<SeedSearchResult> =>
  searchSeeds(
    (seed, schedule) => simulate({ ...options, seed, schedule }, body),
    { ...plan, nodes: options.nodes },
    onProgress,
  )

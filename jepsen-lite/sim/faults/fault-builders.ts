// Parts from which generator, themes and scenarios make faults.

import type { Random } from '../../workload/random.ts'
import {
  type DrawContext,
  type FieldShapes,
  FOLLOWERS,
  type MachineRole,
  PLACES,
  somePlaces,
} from '../schedule/shape.ts'
import {
  FAULT_SHAPES,
  type FaultAction,
  type LinkCut,
  type SimFault,
  type SimFaultKind,
} from './fault-kinds.ts'

/** All fields of a fault of that kind, drawn. */
export function drawAction<Kind extends SimFaultKind>(kind: Kind, drawing: DrawContext): FaultAction<Kind> {
  const shape: FieldShapes = FAULT_SHAPES[kind]
  const drawn = Object.entries(shape).flatMap(([name, field]) => {
    const value = field.draw(drawing)
    return value === undefined ? [] : [[name, value]]
  })
  return { kind, ...Object.fromEntries(drawn) } as FaultAction<Kind>
}

/** A cut that does nothing else. */
export const plainly = (ms: number): LinkCut => ({ ms, stalls: false, refuses: false, breaks: false })

/** A cut that may do more. */
export const anyCut = (rng: Random, ms: number): LinkCut => ({
  ms,
  stalls: rng.chance(0.5),
  refuses: rng.chance(0.5),
  breaks: rng.chance(0.5),
})

export const follower = (rng: Random): MachineRole => rng.pick(FOLLOWERS.slice(0, 4))

/** A random set of machines, not empty. */
export function some(rng: Random): number[] {
  const drawn = somePlaces(rng)
  return drawn.length > 0 ? drawn : [rng.int(0, PLACES.length)]
}

/** A machine loses its power at once; data that is being written is lost. */
export const dies = { kind: 'crash', point: 'now', skip: 0, inFlight: 'lost', silent: true } as const

export const allPlaces: readonly number[] = PLACES
export const noPlaces: readonly number[] = []

/** Rounds times: a schedule holds whole numbers. */
export function whole(fault: SimFault): SimFault {
  const at = Math.max(0, Math.round(fault.at))
  const rounded = 'ms' in fault ? { ...fault, at, ms: Math.round(fault.ms) } : { ...fault, at }
  return rounded.after === undefined ? rounded : { ...rounded, after: Math.round(rounded.after) }
}

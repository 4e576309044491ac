// The fields of a schedule. One description of a field determines its type, its draw from a seed, the check of a file
// that was edited by hand, and its shrinking.

import type { Random } from '../../workload/random.ts'
import type { SimConfig } from './config.ts'

/** Values of a field, as data. */
export type Spec =
  | { readonly is: 'natural'; readonly min: number; readonly max: number }
  | { readonly is: 'number'; readonly min: number; readonly max: number }
  | { readonly is: 'flag' }
  | { readonly is: 'one of'; readonly values: readonly string[] }
  | { readonly is: 'list'; readonly values: readonly string[] }
  | { readonly is: 'target' }
  | { readonly is: 'places' }

/** Inputs of a draw, apart from the random numbers. */
export interface DrawContext {
  readonly rng: Random
  readonly config: SimConfig
  /** The longest duration of a fault in this run. */
  readonly longMs: number
}

export interface ShapeField<T> {
  readonly spec: Spec
  readonly draw: (drawing: DrawContext) => T
}
export interface OptionalShapeField<T> extends ShapeField<T | undefined> {
  readonly optional: true
}
export type FieldShapes = { readonly [name: string]: ShapeField<unknown> | OptionalShapeField<unknown> }

type OptionalNames<S> = {
  [Name in keyof S]: S[Name] extends { readonly optional: true } ? Name : never
}[keyof S]
type HeldBy<F> =
  F extends OptionalShapeField<infer T> ? Exclude<T, undefined> : F extends ShapeField<infer T> ? T : never

/** The values of a shape. */
export type FieldValues<S> = {
  readonly [Name in Exclude<keyof S, OptionalNames<S>>]: HeldBy<S[Name]>
} & { readonly [Name in OptionalNames<S>]?: HeldBy<S[Name]> }

const NATURAL_MAX = 1_000_000_000
/** Machines are numbered from 0. A cluster has at most these, spares included. */
export const PLACES = [0, 1, 2, 3, 4, 5, 6, 7, 8] as const

/**
 * The machine that has the role at that moment; `follower-2`: one of the followers. `subject`, `other`: the machines
 * that a trigger is about.
 */
export const ROLES = [
  'leader',
  'stale-leader',
  'candidate',
  'follower-0',
  'follower-1',
  'follower-2',
  'follower-3',
  'follower-4',
  'subject',
  'other',
] as const
export type MachineRole = (typeof ROLES)[number]
/** A machine: by its number, modulo how many there are, or by its role. */
export type MachineTarget = number | MachineRole

export const FOLLOWERS = ['follower-0', 'follower-1', 'follower-2', 'follower-3', 'follower-4'] as const

// ---- fields

/** Drawn from `from` to `to`. Valid is any natural number up to `max`; 0 only if it can be drawn. */
export function natural(from: number, to: number, max = NATURAL_MAX): ShapeField<number> {
  return {
    spec: { is: 'natural', min: Math.min(1, from), max },
    draw: ({ rng }) => rng.int(from, to + 1),
  }
}

export function computed(draw: (drawing: DrawContext) => number): ShapeField<number> {
  return { spec: { is: 'natural', min: 0, max: NATURAL_MAX }, draw: (drawing) => Math.round(draw(drawing)) }
}

/** How long a fault lasts. */
export const duration: ShapeField<number> = computed(({ rng, longMs }) => rng.ms(5, longMs))

export function flag(odds = 0.5): ShapeField<boolean> {
  return { spec: { is: 'flag' }, draw: ({ rng }) => rng.chance(odds) }
}

/** A value that is listed more than once is drawn more often. The shrinker prefers the first. */
export function choiceField<T extends string>(first: T, ...others: readonly T[]): ShapeField<T> {
  return {
    spec: { is: 'one of', values: [first, ...others] },
    draw: ({ rng }) => rng.pick([first, ...others]),
  }
}

/** A list of `length` values that are used in turn. */
export function listField<T extends string>(
  length: number,
  first: T,
  ...others: readonly T[]
): ShapeField<readonly T[]> {
  return {
    spec: { is: 'list', values: [first, ...others] },
    draw: ({ rng }) => Array.from({ length }, () => rng.pick([first, ...others])),
  }
}

export const target: ShapeField<MachineTarget> = {
  spec: { is: 'target' },
  draw: ({ rng, config }) => {
    if (rng.chance(0.35)) return 'leader'
    if (rng.chance(0.2)) return rng.pick(FOLLOWERS)
    return rng.int(0, config.nodes + config.spares)
  },
}

/** A set of machines: with these probabilities empty, or all. */
export function places(none = 0, all = 0): ShapeField<readonly number[]> {
  return {
    spec: { is: 'places' },
    draw: ({ rng }) => (rng.chance(none) ? [] : rng.chance(all) ? [...PLACES] : somePlaces(rng)),
  }
}

export const somePlaces = (rng: Random): number[] => PLACES.filter(() => rng.chance(0.5))

export function optional<T>(field: ShapeField<T>, odds: number): OptionalShapeField<T> {
  const draw = (drawing: DrawContext): T | undefined =>
    drawing.rng.chance(odds) ? field.draw(drawing) : undefined
  return { spec: field.spec, draw, optional: true }
}

// ---- reading

/** The expected value; undefined: the value is valid. */
export function mismatch(value: unknown, spec: Spec): string | undefined {
  return isValid(value, spec) ? undefined : `expected ${expectation(spec)}, found ${JSON.stringify(value)}`
}

const isNatural = (value: unknown, min = 0, max = NATURAL_MAX): boolean =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max

function isValid(value: unknown, spec: Spec): boolean {
  switch (spec.is) {
    case 'natural':
      return isNatural(value, spec.min, spec.max)
    case 'number':
      return typeof value === 'number' && value >= spec.min && value <= spec.max
    case 'flag':
      return typeof value === 'boolean'
    case 'one of':
      return spec.values.some((one) => one === value)
    case 'list':
      return (
        Array.isArray(value) &&
        value.length > 0 &&
        value.every((one) => spec.values.some((each) => each === one))
      )
    case 'target':
      return isNatural(value) || ROLES.some((role) => role === value)
    case 'places':
      return Array.isArray(value) && value.every((place) => PLACES.some((one) => one === place))
  }
}

function expectation(spec: Spec): string {
  switch (spec.is) {
    case 'natural':
      return `a whole number from ${spec.min} to ${spec.max}`
    case 'number':
      return `a number from ${spec.min} to ${spec.max}`
    case 'flag':
      return 'true or false'
    case 'one of':
      return `one of ${[...new Set(spec.values)].join(', ')}`
    case 'list':
      return `a list of one or more of ${[...new Set(spec.values)].join(', ')}`
    case 'target':
      return `the number of a machine, or one of ${ROLES.join(', ')}`
    case 'places':
      return `a list of numbers of machines from 0 to ${PLACES.length - 1}`
  }
}

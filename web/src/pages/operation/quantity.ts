// Quantities of settings, as people write and read them: `64 MiB`, `1.5 h`, `10,000`.

import { formatCount } from '../../design/numbers.ts'

export type Unit = 'bytes' | 'ms' | 'count'

type Sizes = readonly (readonly [name: string, size: number])[]

const HOUR_MS = 3_600_000

/** Units by which a value is shown, the largest first. */
const SIZES: Readonly<Record<Unit, Sizes>> = {
  bytes: [
    ['PiB', 2 ** 50],
    ['TiB', 2 ** 40],
    ['GiB', 2 ** 30],
    ['MiB', 2 ** 20],
    ['KiB', 2 ** 10],
    ['B', 1],
  ],
  ms: [
    ['d', 24 * HOUR_MS],
    ['h', HOUR_MS],
    ['min', 60_000],
    ['s', 1000],
    ['ms', 1],
  ],
  count: [['', 1]],
}

/** Further names of units that are understood, in lower case. */
const ALIASES: Readonly<Record<Unit, Sizes>> = {
  bytes: [
    ['bytes', 1],
    ['byte', 1],
    ['kb', 1000],
    ['mb', 1e6],
    ['gb', 1e9],
    ['tb', 1e12],
  ],
  ms: [
    ['m', 60_000],
    ['sec', 1000],
    ['hours', HOUR_MS],
    ['hour', HOUR_MS],
    ['days', 24 * HOUR_MS],
    ['day', 24 * HOUR_MS],
  ],
  count: [],
}

/** The unit of a setting, which its name says: `history_bytes_max`, `idempotency_age_ms_max`. */
export function settingUnit(name: string): Unit {
  if (/_bytes(_|$)/.test(name)) return 'bytes'
  return /_ms(_|$)/.test(name) ? 'ms' : 'count'
}

/**
 * The value in the largest unit that divides it: `15 min`, `1.5 GiB` is `1,536 MiB`. Nothing is rounded, so the text
 * can be edited.
 */
export function quantityText(value: number, unit: Unit): string {
  const [name, size] = SIZES[unit].find(([, each]) => value >= each && value % each === 0) ?? ['', 1]
  const unitName = name === '' && unit !== 'count' ? SIZES[unit].at(-1)?.[0] : name
  return `${formatCount(value / size)} ${unitName}`.trimEnd()
}

/** Digits, or groups of three with a separator. Many people write one and a half as `1,5`: that is none. */
const QUANTITY = /^((?:[0-9]+|[1-9][0-9]{0,2}(?:[, _][0-9]{3})+)(?:\.[0-9]+)?)\s*([a-zA-Z]*)$/

/** The value that somebody typed; undefined: it is none, or no whole number. A number alone has the smallest unit. */
export function parseQuantity(text: string, unit: Unit): number | undefined {
  const [, digits = '', name = ''] = QUANTITY.exec(text.trim()) ?? []
  if (digits === '') return undefined
  const size =
    name === ''
      ? 1
      : [...SIZES[unit], ...ALIASES[unit]].find(([each]) => each.toLowerCase() === name.toLowerCase())?.[1]
  if (size === undefined) return undefined
  const value = Number(digits.replaceAll(/[, _]/g, '')) * size
  // 0.1 h is 360,000 ms, however a computer multiplies.
  const whole = Math.round(value)
  return Number.isSafeInteger(whole) && Math.abs(value - whole) <= 1e-6 * Math.max(1, size / 1000)
    ? whole
    : undefined
}

/** The units that are understood, as an example. */
export const UNIT_EXAMPLE: Readonly<Record<Unit, string>> = {
  bytes: 'such as 64 MiB',
  ms: 'such as 90 s or 1 h',
  count: 'such as 10,000',
}

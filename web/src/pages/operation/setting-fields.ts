// Settings as the page shows them. The schema of the API says what each does, its default and its allowed values.

import type { Fields } from '../../../../src/operations/forms/decode.ts'
import { isObject } from '../../../../src/operations/forms/decode.ts'
import { SettingsBody } from '../../../../src/operations/http/settings.ts'
import { quantityText, settingUnit, type Unit } from './quantity.ts'

export interface SettingField {
  /** `history_age_ms`, `leases.duration_ms`. */
  readonly name: string
  readonly value: number | boolean
  readonly unit: Unit
  /** undefined: this page does not know the setting, which a newer node has. */
  readonly rule: SettingRule | undefined
}

/** A part of its JSON schema. */
interface SettingRule {
  readonly description: string
  readonly default?: number | boolean
  readonly minimum?: number
  readonly maximum?: number
}

const { leases, ...plain } = SettingsBody.properties
const RULES: ReadonlyMap<string, SettingRule> = new Map<string, SettingRule>([
  ...Object.entries(plain as Readonly<Record<string, SettingRule>>),
  ...Object.entries(leases.properties).map(([name, rule]) => [`leases.${name}`, rule] as const),
])

/** Settings that were answered, in the order of the answer. */
export function listSettings(document: Fields): readonly SettingField[] {
  return Object.entries(document).flatMap(([name, value]) =>
    isObject(value)
      ? Object.entries(value).flatMap(([inner, each]) => settingField(`${name}.${inner}`, each))
      : settingField(name, value),
  )
}

const settingField = (name: string, value: unknown): SettingField[] =>
  typeof value === 'number' || typeof value === 'boolean'
    ? [{ name, value, unit: settingUnit(name), rule: RULES.get(name) }]
    : []

export function valueText(value: number | boolean, unit: Unit): string {
  if (typeof value === 'boolean') return value ? 'on' : 'off'
  return quantityText(value, unit)
}

/** `1 s to 365 d`; undefined: it has no range, or there is nothing to choose. */
export function rangeText({ unit, rule }: SettingField): string | undefined {
  const { minimum, maximum } = rule ?? {}
  if (minimum === undefined || maximum === undefined || minimum === maximum) return undefined
  return `${quantityText(minimum, unit)} to ${quantityText(maximum, unit)}`
}

/** Whether there is another value to choose. */
export const isChangeable = (field: SettingField): boolean =>
  typeof field.value === 'boolean' ? field.rule !== undefined : rangeText(field) !== undefined

/** Settings by what they are about, in the order in which they are shown. */
const GROUPS: readonly (readonly [title: string, fits: RegExp])[] = [
  ['Keys and values', /^(key|value|store|range)_/],
  ['History', /^history_/],
  ['Repeated changes', /^idempotency_/],
  ['Leases of keys', /^leases?_/],
  ['Reads by the leader alone', /^leases\./],
  ['The cluster', /./],
]

export function groupSettings(
  fields: readonly SettingField[],
): readonly { readonly title: string; readonly fields: readonly SettingField[] }[] {
  const titleFor = ({ name }: SettingField) => GROUPS.find(([, fits]) => fits.test(name))?.[0]
  return GROUPS.map(([title]) => ({
    title,
    fields: fields.filter((field) => titleFor(field) === title),
  })).filter((group) => group.fields.length > 0)
}

/** Whether a change to this value ends history that could be read until now. */
export const endsHistory = ({ name, value }: SettingField, next: number): boolean =>
  name.startsWith('history_') && typeof value === 'number' && next < value

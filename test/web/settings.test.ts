// Settings as the page shows and reads them.

import { expect, test } from 'vitest'
import { DEFAULT_SETTINGS } from '../../src/operations/forms/settings.ts'
import { decodeSettings, leasesDocument, settingsDocument } from '../../src/operations/http/settings.ts'
import { parseQuantity, quantityText, settingUnit } from '../../web/src/pages/operation/quantity.ts'
import {
  endsHistory,
  groupSettings,
  isChangeable,
  listSettings,
  rangeText,
  valueText,
} from '../../web/src/pages/operation/setting-fields.ts'

const fields = listSettings({
  ...settingsDocument(DEFAULT_SETTINGS),
  leases: leasesDocument({ on: false, durationMs: 500 }),
  later_bytes_max: 7,
})
const named = (name: string) => {
  const found = fields.find((field) => field.name === name)
  if (found === undefined) throw new Error(`no setting ${name}`)
  return found
}

test.each([
  ['64 MiB', 'bytes', 64 * 2 ** 20],
  ['1.5gib', 'bytes', 1.5 * 2 ** 30],
  ['10 MB', 'bytes', 10_000_000],
  ['1h', 'ms', 3_600_000],
  ['0.1 h', 'ms', 360_000],
  ['15 min', 'ms', 900_000],
  ['2 days', 'ms', 172_800_000],
  ['250', 'ms', 250],
  ['10,000', 'count', 10_000],
  ['1 234 567', 'count', 1_234_567],
  ['1_536 MiB', 'bytes', 1536 * 2 ** 20],
  ['0', 'bytes', 0],
] as const)('%s is understood', (text, unit, value) => {
  expect(parseQuantity(text, unit)).toBe(value)
})

test.each([
  ['', 'count'],
  ['-1', 'count'],
  ['1.5', 'count'],
  ['10 MiB', 'count'],
  ['10 MiB', 'ms'],
  ['1 h', 'bytes'],
  ['0.3 B', 'bytes'],
  ['1,5 GiB', 'bytes'],
  ['0,250 h', 'ms'],
  ['1,23', 'count'],
  ['99999999 PiB', 'bytes'],
] as const)('"%s" as %s is none', (text, unit) => {
  expect(parseQuantity(text, unit)).toBeUndefined()
})

test('each value is shown without rounding, and read as itself', () => {
  expect(quantityText(1536 * 2 ** 20, 'bytes')).toBe('1,536 MiB')
  expect(quantityText(0, 'bytes')).toBe('0 B')
  for (const unit of ['bytes', 'ms', 'count'] as const)
    for (const value of [0, 1, 999, 1024, 3_600_001, 90_000, 2 ** 40, 2 ** 50])
      expect(parseQuantity(quantityText(value, unit), unit)).toBe(value)
})

test('every setting has a sentence, a range and a group', () => {
  const known = fields.filter(({ name }) => name !== 'later_bytes_max')
  expect(known.filter(({ rule }) => rule?.description === undefined)).toEqual([])
  expect(known.filter((field) => !isChangeable(field)).map(({ name }) => name)).toEqual([])
  expect(groupSettings(fields).flatMap((group) => group.fields).length).toBe(fields.length)
  expect(rangeText(named('range_bytes_max'))).toBe('2 MiB to 8 MiB')
  expect(valueText(named('history_age_ms').value, settingUnit('history_age_ms'))).toBe('1 h')
  for (const { name, value } of known)
    if (!name.startsWith('leases.')) expect(Object.values(decodeSettings({ [name]: value }))).toEqual([value])
})

test('a setting that this page does not know is shown, and cannot be changed', () => {
  expect(named('later_bytes_max')).toMatchObject({ value: 7, unit: 'bytes', rule: undefined })
  expect(isChangeable(named('later_bytes_max'))).toBe(false)
})

test('only a lower limit of history ends history', () => {
  expect(endsHistory(named('history_age_ms'), 1000)).toBe(true)
  expect(endsHistory(named('history_age_ms'), 7_200_000)).toBe(false)
  expect(endsHistory(named('value_bytes_max'), 1)).toBe(false)
})

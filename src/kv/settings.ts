// The replicated settings: their defaults, their allowed values, their bytes.

import type { Reader, Writer } from '../bytes/index.ts'
import { KEY_BYTES_MAX, type KvSettings, VALUE_BYTES_MAX } from '../operations/forms/index.ts'
import { MalformedBytesError, REMEDY_FOR_NEWER, UnknownKindError } from './errors.ts'
import type { Reason } from './types.ts'

/**
 * The newest cluster version that this program knows. A later version raises it when an entry, a row or its meaning
 * changes; the cluster uses the new version once every member knows it.
 */
export const CLUSTER_VERSION = 1

export const DEFAULT_SETTINGS: KvSettings = {
  keyBytesMax: 4096,
  valueBytesMax: 1 << 20,
  storeBytesMax: 8 * 2 ** 30,
  idempotencyTokensMax: 1_000_000,
  idempotencyBytesMax: 256 * 2 ** 20,
  idempotencyAgeMsMax: 15 * 60_000,
  clusterVersion: CLUSTER_VERSION,
  historyAgeMs: 3_600_000,
  historyRevisionsMax: 100_000,
  historyBytesMax: 2 ** 30,
  rangeKeysMax: 10_000,
  leaseCheckpointMs: 5000,
  leasesMax: 1_000_000,
  rangeBytesMax: 4 * 2 ** 20,
}

interface SettingRule {
  /** The byte that stands for the setting in entries and rows. It never changes. */
  readonly id: number
  readonly min: number
  readonly max: number
}

/**
 * The limits of key and value cannot be raised: buffers, frames and pages of every node are sized for the defaults. No
 * entry has more than `rangeKeysMax.max` keys, because all writes wait while an entry is applied.
 * Every replica must decide alike, so another range needs a new version of the settings entry.
 */
export const SETTING_RULES: Readonly<Record<keyof KvSettings, SettingRule>> = {
  keyBytesMax: { id: 1, min: 1, max: KEY_BYTES_MAX },
  valueBytesMax: { id: 2, min: 0, max: VALUE_BYTES_MAX },
  storeBytesMax: { id: 3, min: 0, max: 2 ** 50 },
  idempotencyTokensMax: { id: 4, min: 1, max: 10_000_000 },
  idempotencyBytesMax: { id: 5, min: 4096, max: 2 ** 40 },
  idempotencyAgeMsMax: { id: 6, min: 1000, max: 30 * 24 * 3_600_000 },
  clusterVersion: { id: 7, min: 1, max: 2 ** 32 - 1 },
  historyAgeMs: { id: 8, min: 1000, max: 365 * 24 * 3_600_000 },
  historyRevisionsMax: { id: 9, min: 1, max: 2 ** 40 },
  historyBytesMax: { id: 10, min: 0, max: 2 ** 50 },
  rangeKeysMax: { id: 11, min: 1, max: 10_000 },
  leaseCheckpointMs: { id: 12, min: 100, max: 3_600_000 },
  leasesMax: { id: 13, min: 0, max: 10_000_000 },
  // At least one record of the largest key and value.
  rangeBytesMax: { id: 14, min: 2 * 2 ** 20, max: 8 * 2 ** 20 },
}

/** In rising order of their ids, which is the order of the table. */
const NAMES = Object.keys(SETTING_RULES) as readonly (keyof KvSettings)[]

interface SettingFault {
  readonly reason: Reason
  readonly numbers: readonly [number, number]
}

/**
 * Why `change` is refused; undefined when it is allowed. Throws for a cluster version that is newer than this program.
 */
export function settingsFault(change: Partial<KvSettings>): SettingFault | undefined {
  for (const name of NAMES) {
    const value = change[name]
    if (value === undefined) continue
    const { id, min, max } = SETTING_RULES[name]
    if (!Number.isSafeInteger(value) || value < min || value > max)
      return { reason: 'setting-out-of-range', numbers: [id, value] }
  }
  const { clusterVersion = CLUSTER_VERSION } = change
  // A newer program would accept it. A rejection here would make the replicas differ.
  if (clusterVersion > CLUSTER_VERSION)
    throw new UnknownKindError(
      `cluster version ${clusterVersion}, and this version of quorate knows up to ${CLUSTER_VERSION}: ${REMEDY_FOR_NEWER}`,
    )
  return undefined
}

type KeyLimits = Pick<KvSettings, 'rangeKeysMax' | 'rangeBytesMax'>

/** Whether these are more keys, or more bytes of keys, than the ranges of an entry or a lease may have. */
export const areTooManyKeys = (keys: number, keyBytes: number, settings: KeyLimits): boolean =>
  keys > settings.rangeKeysMax || keyBytes > settings.rangeBytesMax

/** The numbers of the rejection of too many keys. */
export const keyLimits = ({ rangeKeysMax, rangeBytesMax }: KeyLimits): readonly [number, number] => [
  rangeKeysMax,
  rangeBytesMax,
]

export const equalSettings = (a: KvSettings, b: KvSettings): boolean =>
  NAMES.every((name) => a[name] === b[name])

export function settingOf(id: number): keyof KvSettings {
  const name = NAMES.find((candidate) => SETTING_RULES[candidate].id === id)
  if (name === undefined) throw new UnknownKindError(`setting ${id} is not known to this program`)
  return name
}

/** Writes a count, then {id: 1, value: 8} in rising order of ids. */
export function writeSettings(settings: Partial<KvSettings>, to: Writer): void {
  to.uint8(NAMES.filter((name) => settings[name] !== undefined).length)
  for (const name of NAMES) {
    const value = settings[name]
    if (value !== undefined) to.uint8(SETTING_RULES[name].id).uint64(value)
  }
}

export function readSettings(from: Reader): Partial<KvSettings> {
  const settings: Partial<Record<keyof KvSettings, number>> = {}
  let before = 0
  for (let left = from.uint8(); left > 0; left--) {
    const id = from.uint8()
    if (id <= before) throw new MalformedBytesError(`setting ${id} after ${before}`)
    before = id
    settings[settingOf(id)] = from.uint64()
  }
  return settings
}

/** All settings. */
export function readAllSettings(from: Reader): KvSettings {
  const settings = readSettings(from)
  for (const name of NAMES)
    if (settings[name] === undefined) throw new MalformedBytesError(`setting ${name} is missing`)
  return { ...DEFAULT_SETTINGS, ...settings }
}

// The replicated settings: their allowed values and their bytes.

import type { Reader, Writer } from '../bytes/index.ts'
import type { KvSettings } from '../operations/forms/index.ts'
import { CLUSTER_VERSION, DEFAULT_SETTINGS, SETTING_LIMITS } from '../operations/forms/settings.ts'
import { MalformedBytesError, UnknownKindError } from './errors.ts'
import type { Reason } from './types.ts'

/** The byte that stands for each setting in entries and rows. It never changes. */
const SETTING_IDS: Readonly<Record<keyof KvSettings, number>> = {
  keyBytesMax: 1,
  valueBytesMax: 2,
  storeBytesMax: 3,
  idempotencyTokensMax: 4,
  idempotencyBytesMax: 5,
  idempotencyAgeMsMax: 6,
  clusterVersion: 7,
  historyAgeMs: 8,
  historyRevisionsMax: 9,
  historyBytesMax: 10,
  rangeKeysMax: 11,
  leaseCheckpointMs: 12,
  leasesMax: 13,
  rangeBytesMax: 14,
}

/** In rising order of their ids, which is the order of the table. */
const NAMES = Object.keys(SETTING_IDS) as readonly (keyof KvSettings)[]

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
    const { min, max } = SETTING_LIMITS[name]
    if (!Number.isSafeInteger(value) || value < min || value > max)
      return { reason: 'setting-out-of-range', numbers: [SETTING_IDS[name], value] }
  }
  const { clusterVersion = CLUSTER_VERSION } = change
  // A newer program would accept it. A rejection here would make the replicas differ.
  if (clusterVersion > CLUSTER_VERSION)
    throw new UnknownKindError(`cluster version ${clusterVersion}`, `versions up to ${CLUSTER_VERSION}`)
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

export function findSetting(id: number): keyof KvSettings {
  const name = NAMES.find((candidate) => SETTING_IDS[candidate] === id)
  if (name === undefined) throw new UnknownKindError(`setting ${id}`)
  return name
}

/** Writes a count, then {id: 1, value: 8} in rising order of ids. */
export function writeSettings(settings: Partial<KvSettings>, to: Writer): void {
  to.uint8(NAMES.filter((name) => settings[name] !== undefined).length)
  for (const name of NAMES) {
    const value = settings[name]
    if (value !== undefined) to.uint8(SETTING_IDS[name]).uint64(value)
  }
}

export function readSettings(from: Reader): Partial<KvSettings> {
  const settings: Partial<Record<keyof KvSettings, number>> = {}
  let before = 0
  for (let left = from.uint8(); left > 0; left--) {
    const id = from.uint8()
    if (id <= before) throw new MalformedBytesError(`setting ${id} after ${before}`)
    before = id
    settings[findSetting(id)] = from.uint64()
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

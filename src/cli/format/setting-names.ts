// Names of settings on the command line: `value_bytes_max`, `leases`, `leases.duration_ms`.

import type { Settings } from '../../client/index.ts'
import { isObject } from '../../operations/forms/decode.ts'

export function settingsByName(settings: Settings): [name: string, value: unknown][] {
  return Object.entries(settings).flatMap(([name, value]) => {
    if (!isObject(value)) return [[name, value]]
    return Object.entries(value).map(([field, inner]): [string, unknown] => [
      field === 'on' ? name : `${name}.${field}`,
      inner,
    ])
  })
}

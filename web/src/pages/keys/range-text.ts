import { type KeyRange, nameRange } from '../../../../src/operations/forms/places.ts'
import { plainText } from '../../design/bytes-text.tsx'

/** A range of keys in words: `keys that begin with app/`. */
export function rangeText(range: KeyRange): string {
  const named = nameRange(range)
  if ('all' in named || ('prefix' in named && named.prefix.length === 0)) return 'all keys'
  if ('key' in named) return `the key ${plainText(named.key)}`
  if ('prefix' in named) return `keys that begin with ${plainText(named.prefix)}`
  const before = named.end === undefined ? '' : `, before ${plainText(named.end)}`
  return `keys from ${plainText(named.start)} on${before}`
}

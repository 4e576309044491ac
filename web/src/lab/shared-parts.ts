// Plain data that arrives again and again, and is mostly equal to what came before.

/**
 * Returns `after`, with each part that is equal to the same part of `before` replaced by that one. So a component whose
 * part is the same object has nothing to draw.
 */
export function sharedParts<T>(before: unknown, after: T): T {
  if (before === after) return after
  if (typeof before !== 'object' || typeof after !== 'object') return after
  if (before === null || after === null || Array.isArray(before) !== Array.isArray(after)) return after
  const [old, fresh] = [before as Record<string, unknown>, after as Record<string, unknown>]
  const names = Object.keys(fresh)
  let isEqual = names.length === Object.keys(old).length
  for (const name of names) {
    const part = sharedParts(old[name], fresh[name])
    fresh[name] = part
    if (part !== old[name]) isEqual = false
  }
  return isEqual ? (before as T) : after
}

// A message is immutable after it was stepped or sent, and an output after it was returned. Frames cannot be frozen
// (they are typed arrays); the invariants compare their checksums instead.

export function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || Object.isFrozen(value))
    return value
  for (const part of Object.values(value)) freeze(part)
  return Object.freeze(value)
}

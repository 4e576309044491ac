// Joins arrays that are adjacent in memory. The frames of log entries are cut from slabs one after the other, and
// arrive in one piece. So a batch of them becomes a few long arrays, and each is copied, checksummed or sent with one
// call in place of one call for each entry.

/** Returns the same bytes in the same order, in as few arrays as possible, without a copy. */
export function joinAdjacent(parts: readonly Uint8Array[]): readonly Uint8Array[] {
  const [first] = parts
  if (first === undefined || parts.length === 1) return parts
  const joined: Uint8Array[] = []
  let { buffer, byteOffset: from } = first
  let to = from
  for (const part of parts) {
    if (part.byteOffset !== to || part.buffer !== buffer) {
      joined.push(new Uint8Array(buffer, from, to - from))
      buffer = part.buffer
      from = part.byteOffset
      to = from
    }
    to += part.length
  }
  joined.push(new Uint8Array(buffer, from, to - from))
  return joined
}

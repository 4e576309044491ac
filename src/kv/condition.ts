// Preconditions of RFC 9110 §13 against mod_revision, and their bytes.

import type { Reader, Writer } from '../bytes/index.ts'
import {
  asRevision,
  type Condition,
  type RecordMetadata,
  type Revision,
  TAGS_MAX,
} from '../operations/forms/index.ts'

/** RFC 9110 §13.2.2: If-Match first, then If-None-Match; `current` is null when the key does not exist. */
export function conditionHolds(condition: Condition | undefined, current: RecordMetadata | null): boolean {
  if (condition === undefined) return true
  const { ifMatch, ifNoneMatch } = condition
  if (ifMatch !== undefined && !matches(ifMatch, current)) return false
  return ifNoneMatch === undefined || !matches(ifNoneMatch, current)
}

function matches(tags: 'any' | readonly Revision[], current: RecordMetadata | null): boolean {
  if (current === null) return false
  return tags === 'any' || tags.includes(current.modRevision)
}

// The bytes of a list: count (2), then the revisions (8 each). The count ANY stands for `*`.
const ANY = 0xffff

export function writeTags(tags: 'any' | readonly Revision[], to: Writer): void {
  if (tags === 'any') {
    to.uint16(ANY)
    return
  }
  if (tags.length > TAGS_MAX) throw new RangeError(`${tags.length} tags, at most ${TAGS_MAX}`)
  to.uint16(tags.length)
  for (const tag of tags) to.uint64(tag)
}

export function readTags(from: Reader): 'any' | readonly Revision[] {
  const count = from.uint16()
  return count === ANY ? 'any' : Array.from({ length: count }, () => asRevision(from.uint64()))
}

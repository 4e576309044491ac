// Reads If-Match and If-None-Match (RFC 9110 §13.1, §8.8.3) into the condition that the state machine tests. The entity
// tag of a key is its mod_revision.

import type { IncomingHttpHeaders } from 'node:http'
import type { Condition, Revision } from '../../kv/index.ts'
import { asRevision, TAGS_MAX } from '../../kv/index.ts'
import { ApiError } from './problem.ts'

export const entityTag = (modRevision: Revision): string => `"${modRevision}"`

export function readConditions(headers: IncomingHttpHeaders): Condition | undefined {
  const ifMatchText = headers['if-match']
  const ifNoneMatchText = headers['if-none-match']
  if (ifMatchText === undefined && ifNoneMatchText === undefined) return undefined
  return {
    // If-Match compares strongly: a weak tag equals nothing (RFC 9110 §13.1.1). If-None-Match compares weakly
    // (§13.1.2).
    ifMatch: ifMatchText === undefined ? undefined : readTags(ifMatchText, 'If-Match', false),
    ifNoneMatch: ifNoneMatchText === undefined ? undefined : readTags(ifNoneMatchText, 'If-None-Match', true),
  }
}

/** Each space matches in one way only. Otherwise the time of the search would grow with the square of their number. */
const TAG = /[\t ]*(?:(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"[\t ]*)?(?:,|$)/y

/** `*`, or the revisions in the tags. Other well-formed tags equal no key's tag. */
function readTags(text: string, header: string, weakCounts: boolean): 'any' | readonly Revision[] {
  if (text.trim() === '*') return 'any'
  const revisions: Revision[] = []
  let isEmpty = true
  TAG.lastIndex = 0
  while (TAG.lastIndex < text.length) {
    const found = TAG.exec(text)
    if (found === null) throw malformed(header)
    const [, weak, opaque] = found
    if (opaque === undefined) continue // an empty list element
    isEmpty = false
    const revision = /^[1-9][0-9]{0,15}$/.test(opaque) ? Number(opaque) : Number.NaN
    if (Number.isSafeInteger(revision) && (weak === undefined || weakCounts))
      revisions.push(asRevision(revision))
  }
  if (isEmpty) throw malformed(header)
  if (revisions.length > TAGS_MAX)
    throw new ApiError('bad_request', `${header} may have at most ${TAGS_MAX} entity tags`)
  return revisions
}

const malformed = (header: string): ApiError =>
  new ApiError('bad_request', `${header} must be * or a list of quoted entity tags, such as "7"`)

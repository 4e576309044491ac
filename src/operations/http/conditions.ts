// The headers of a request that are forms of its operation, among them its conditions: If-Match and If-None-Match
// (RFC 9110 §13.1).

import { type Condition, TAGS_MAX } from '../forms/conditions.ts'
import { ApiError } from '../forms/problems.ts'
import { asRevision, type Revision } from '../forms/store.ts'

/** The headers of a request that are forms of its operation, in lower case. */
export interface RequestHeaders {
  readonly accept?: string | undefined
  readonly 'content-encoding'?: string | undefined
  readonly 'content-range'?: string | undefined
  readonly 'transfer-encoding'?: string | undefined
  readonly 'last-event-id'?: string | string[] | undefined
  readonly 'if-match'?: string | undefined
  readonly 'if-none-match'?: string | undefined
  readonly 'idempotency-key'?: string | string[] | undefined
  readonly 'kv-session'?: string | string[] | undefined
}

export function readConditions(headers: RequestHeaders): Condition | undefined {
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

/** Throws `ApiError` for a condition of a change that is made whether or not it holds. */
export function refuseConditions(headers: RequestHeaders): void {
  if (headers['if-match'] === undefined && headers['if-none-match'] === undefined) return
  throw new ApiError('bad_request', 'If-Match and If-None-Match are no conditions of this request')
}

/** Each space matches in one way only. Otherwise the time of the search would grow quadratically with their number. */
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
    // No key is ever at revision 0. It is read as in the other wires, so that a change is the same in all of them.
    const revision = /^(?:0|[1-9][0-9]{0,15})$/.test(opaque) ? Number(opaque) : Number.NaN
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

/** The headers of a condition. */
export function conditionHeaders(condition: Condition | undefined): Record<string, string> {
  const { ifMatch, ifNoneMatch } = condition ?? {}
  const headers: Record<string, string> = {}
  if (ifMatch !== undefined) headers['If-Match'] = tagsText(ifMatch)
  if (ifNoneMatch !== undefined) headers['If-None-Match'] = tagsText(ifNoneMatch)
  return headers
}

const tagsText = (tags: 'any' | readonly Revision[]): string =>
  tags === 'any' ? '*' : tags.map((revision) => `"${revision}"`).join(', ')

// What several answers have in common, as schemas.

import { anyOf, arrayOf, integer, nothing, object, string } from './json-schema.ts'
import { PROBLEMS } from './problem.ts'

export const Bytes = {
  ...anyOf(string, object({ base64: string })),
  description: 'Bytes: a string when they are valid UTF-8, otherwise base64',
}

export const revisions = { create_revision: integer, mod_revision: integer, version: integer }

/** Of a record with a lease. */
export const lease = {
  lease: { ...string, description: 'The id of the lease that deletes the key when it ends' },
}

export const RecordSchema = object({ key: Bytes, value: Bytes, ...revisions }, lease)

export const DeleteAnswer = object({ deleted: { ...integer, enum: [0, 1] }, revision: integer })

const problemFields = {
  type: string,
  title: string,
  status: integer,
  code: { ...string, enum: Object.keys(PROBLEMS) },
  detail: string,
}
const problemMore = {
  retry_after_ms: integer,
  current: {
    ...anyOf(object({ key: Bytes, ...revisions }, lease), nothing),
    description: 'Of precondition_failed: the record without its value, or null',
  },
}

export const ProblemSchema = object(problemFields, {
  ...problemMore,
  compact_revision: { ...integer, description: 'Of compacted: the first revision that can be read' },
  resume_from: { ...integer, description: 'Of a watch: the revision to give as from to go on' },
  count: { ...integer, description: 'Of range_too_large: the keys of the range, counted after the refusal' },
  reasons: { ...arrayOf(string), description: 'Of /readyz: why it is not ready' },
})

/** Of one change in a batch. */
export const ChangeProblem = object({ ...problemFields, written: { ...string, enum: ['no'] } }, problemMore)

// Schemas that several operations share in their bodies and answers.

import { LEASE_ID_FORM, LEASE_ID_PATTERN } from '../forms/leases.ts'
import { PROBLEMS } from '../forms/problems.ts'
import { anyOfSchema, arraySchema, integer, nothing, object, string } from './json-schema.ts'

export const Bytes = {
  ...anyOfSchema(string, object({ base64: string })),
  description: 'Bytes: a string when they are valid UTF-8, otherwise base64',
}

export const revisions = { create_revision: integer, mod_revision: integer, version: integer }

/** The field of a record with a lease. */
export const lease = {
  lease: { ...string, description: 'The id of the lease that deletes the key when it ends' },
}

/** The field of a record with its writer. */
const by = { by: { ...string, description: 'The user who wrote it, if rights were checked' } }

const time = { time_ms: { ...integer, description: 'With time=true: when its node took the change' } }
export const RecordSchema = object({ key: Bytes, value: Bytes, ...revisions }, { ...lease, ...by, ...time })

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
    ...anyOfSchema(object({ key: Bytes, ...revisions }, lease), nothing),
    description: 'Of precondition_failed: the record without its value, or null',
  },
}

export const ProblemSchema = object(problemFields, {
  ...problemMore,
  compact_revision: { ...integer, description: 'Of compacted: the first revision that can be read' },
  resume_from: { ...integer, description: 'Of a watch: the revision to give as from to continue' },
  count: { ...integer, description: 'Of range_too_large: the keys of the range, counted after the refusal' },
  reasons: { ...arraySchema(string), description: 'Of /readyz: why it is not ready' },
})

/** The problem of one change in a batch. */
export const ChangeProblem = object({ ...problemFields, written: { ...string, enum: ['no'] } }, problemMore)

// ---------------------------------------------------------------------------------------------------------------------
// Leases

export const LeaseIdSchema = {
  ...string,
  pattern: LEASE_ID_PATTERN,
  description: `The id of a lease: ${LEASE_ID_FORM}`,
}
export const TtlSchema = { ...string, description: 'A duration from a second to ten years, such as 30s' }

export const PUT_LEASE_FIELDS = {
  lease: { ...LeaseIdSchema, description: 'The lease that deletes the key when it ends' },
  ttl: { ...TtlSchema, description: 'A lease of its own, of this duration, such as 30s' },
}

export const TTL_MS_FIELD = {
  ttl_ms: { ...integer, description: 'It lives so long unless it is kept alive' },
}
export const LeaseGranted = object({ id: LeaseIdSchema, ...TTL_MS_FIELD })
export const LEASE_FIELDS = {
  id: LeaseIdSchema,
  granted_ttl_ms: integer,
  remaining_ttl_ms: {
    ...integer,
    description: 'Unless it is kept alive; in a stale read it may be too low, by lease_checkpoint_ms at most',
  },
}

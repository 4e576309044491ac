// POST /v1/compact: history up to a revision ends.

import { asRevision } from '../../kv/index.ts'
import type { NodeApi } from '../node/types.ts'
import { jsonAnswer } from './answer.ts'
import { readIdentity } from './idempotency-headers.ts'
import { closed, integer, object } from './json-schema.ts'
import { propose, unexpected } from './propose.ts'
import { type Route, route } from './route.ts'

const Compact = closed(
  object({
    revision: {
      ...integer,
      minimum: 1,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'The store can be read from this revision on, and watched from the next one on',
    },
  }),
)

export const compactRoute = (node: NodeApi): Route =>
  route(
    {
      method: 'POST',
      path: '/v1/compact',
      summary: 'Forget how the store was before a revision',
      takesToken: true,
      body: Compact,
      answers: object({ compact_revision: integer, revision: integer }),
    },
    ({ asked, body }, respond) => {
      const command = { kind: 'compact', revision: asRevision(body.revision) } as const
      const idempotency = readIdentity(asked.headers)
      propose(node, asked, { command, idempotency }, respond, (outcome, headers) => {
        if (outcome.kind !== 'compacted') throw unexpected(outcome)
        const { revision, compactRevision } = outcome
        const json = `{"compact_revision":${compactRevision},"revision":${revision}}`
        respond(jsonAnswer(json, headers, revision))
      })
    },
  )
